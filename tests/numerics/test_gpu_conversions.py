"""precsim's conversions against an NVIDIA H200's own instructions, by the digests of reference/gpu_conversions.csv."""

import csv

import numpy as np
import pytest
from support.places import REFERENCE

from tests.hardware.convert_all import CHUNKS, CONVERSIONS, digest, expected_codes

with open(REFERENCE / "gpu_conversions.csv", newline="") as _file:
    DIGESTS = {(row["format"], int(row["chunk"])): row["sha256"] for row in csv.DictReader(_file)}


def test_every_chunk_of_every_format_has_a_digest():
    assert set(DIGESTS) == {(name, chunk) for name in CONVERSIONS for chunk in range(CHUNKS)}


@pytest.mark.parametrize("name", CONVERSIONS)
def test_a_random_chunk_equals_the_hardware(name):
    # another chunk in each run, so that time covers them all; where neighbors are equal, all saturate or vanish
    distinct = [c for c in range(CHUNKS) if DIGESTS[name, c] != DIGESTS[name, (c + 1) % CHUNKS]]
    chunk = int(np.random.default_rng().choice(distinct))
    assert digest(expected_codes(name, chunk)) == DIGESTS[name, chunk], f"chunk {chunk} of {name} differs"


@pytest.mark.weekly
@pytest.mark.parametrize("name", CONVERSIONS)
def test_all_float32_equal_the_hardware(name):
    wrong = [chunk for chunk in range(CHUNKS) if digest(expected_codes(name, chunk)) != DIGESTS[name, chunk]]
    assert not wrong
