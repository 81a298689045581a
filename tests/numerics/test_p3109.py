"""Every IEEE P3109 format of at most 8 bits (report 4.0): codes, six modes at every edge, given-bits vectors."""

import gfloat
import gfloat.formats
import numpy as np
import pytest
from support.staircase import edges, images

from precsim.numerics import GivenBits, Rounding, Saturation, Subnormals, decode, encode, round_to
from precsim.numerics import formats as F

FORMATS = [
    F.p3109(k, p, signed=signed, domain=domain)
    for k in range(3, 9)
    for signed in (True, False)
    for p in range(1, k if signed else k + 1)
    for domain in F.Domain
]
#: gfloat's names of variants A, B and C.
VARIANTS = {
    Rounding.STOCHASTIC_A: gfloat.RoundMode.StochasticFastest,
    Rounding.STOCHASTIC_B: gfloat.RoundMode.StochasticFast,
    Rounding.STOCHASTIC_C: gfloat.RoundMode.Stochastic,
}


def theirs(fmt):
    signedness = gfloat.Signedness.Signed if fmt.signed else gfloat.Signedness.Unsigned
    domain = gfloat.Domain.Extended if fmt.specials is F.Specials.EXTENDED else gfloat.Domain.Finite
    return gfloat.formats.format_info_p3109(fmt.bits, fmt.precision, signedness, domain)


def test_no_format_is_missing():
    assert len({f.name for f in FORMATS}) == len(FORMATS) == sum(4 * k - 2 for k in range(3, 9))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_codes_come_back(fmt):
    codes = np.arange(2**fmt.bits, dtype=np.uint8)
    for dtype in (np.float32, np.float64):
        values = decode(codes, fmt, dtype=dtype)
        np.testing.assert_array_equal(encode(values, fmt), codes)
        np.testing.assert_array_equal(round_to(values, fmt), values)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_every_mode_at_every_edge(fmt):
    for rounding in (r for r in Rounding if not r.is_stochastic):
        for negative in (False, True):
            found = edges(fmt, rounding, negative, np.float64)
            at = np.unique(found.patterns)
            patterns = np.unique(np.concatenate([np.maximum(at - 1, 0), at, at[:-2] + 1]))
            x = patterns.view(np.float64)
            x = -x if negative else x
            for saturate in Saturation:
                for subnormals in Subnormals if fmt.has_subnormals else [Subnormals.KEEP]:
                    rules = {"saturate": saturate, "subnormals": subnormals}
                    table = images(fmt, rounding, negative, np.float64, nan=None, **rules)
                    wanted = table[found.steps_of(patterns)]
                    got = round_to(x, fmt, rounding, **rules)
                    np.testing.assert_array_equal(got, wanted)
                    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(wanted[got == 0]))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_given_bits_equal_gfloat(fmt, rng):
    values = fmt.values()
    fractions = rng.integers(257, size=(8, values.size - 1)) / 256
    x = (values[:-1] + fractions * np.diff(values)).ravel()
    for rounding, variant in VARIANTS.items():
        for width in (1, 4, 8):
            noise = rng.integers(2**width, size=x.size)
            wanted = gfloat.round_ndarray(theirs(fmt), x, variant, srbits=noise, srnumbits=width)
            got = round_to(x, fmt, rounding, noise=GivenBits(noise, width))
            np.testing.assert_array_equal(got, wanted)
