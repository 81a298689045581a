"""Conversions against Berkeley SoftFloat, by the digests that it left."""

import numpy as np
import pytest
from support.softfloat import CONVERSIONS, MODES, cases, digest, rows

from precsim.numerics import Rounding, encode
from precsim.numerics import formats as F


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.conversion}-{row.mode}")
def test_conversions_equal_those_of_softfloat(row):
    x = cases(np.float32 if row.conversion.startswith("f32") else np.float64)
    assert x.size == row.cases
    codes = encode(x, getattr(F, CONVERSIONS[row.conversion]), Rounding[MODES[row.mode]])
    assert digest(codes) == row.sha256
