"""Formats against ml_dtypes, gfloat, and the defining formula in exact rationals."""

import itertools
from dataclasses import replace
from fractions import Fraction

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest

from precsim.numerics import NAMED, Domain, Format, Specials, fixed_point, integer, p3109
from precsim.numerics import formats as F
from precsim.numerics.formats import Grid

TWINS = [
    (F.BF16, ml_dtypes.bfloat16),
    (F.FP16, np.float16),
    (F.FP8_E4M3, ml_dtypes.float8_e4m3fn),
    (F.FP8_E5M2, ml_dtypes.float8_e5m2),
    (F.FP8_E4M3_IEEE, ml_dtypes.float8_e4m3),
    (F.FP8_E3M4_IEEE, ml_dtypes.float8_e3m4),
    (F.FP8_E4M3_FNUZ, ml_dtypes.float8_e4m3fnuz),
    (F.FP8_E5M2_FNUZ, ml_dtypes.float8_e5m2fnuz),
    (F.FP8_E4M3_B11FNUZ, ml_dtypes.float8_e4m3b11fnuz),
    (F.FP6_E2M3, ml_dtypes.float6_e2m3fn),
    (F.FP6_E3M2, ml_dtypes.float6_e3m2fn),
    (F.FP4_E2M1, ml_dtypes.float4_e2m1fn),
    (F.E8M0, ml_dtypes.float8_e8m0fnu),
    (F.INT4, ml_dtypes.int4),
    (F.INT2, ml_dtypes.int2),
]
P3109 = [
    p3109(k, p, signed=s, domain=d)
    for k in range(3, 9)
    for s in (True, False)
    for p in range(1, k if s else k + 1)
    for d in Domain
]


@pytest.mark.parametrize(("fmt", "dtype"), TWINS, ids=lambda v: getattr(v, "name", ""))
def test_every_code_has_the_value_ml_dtypes_gives(fmt, dtype):
    codes = np.arange(2**fmt.bits).astype(np.uint16 if fmt.bits == 16 else np.uint8)
    if fmt.is_integer:
        codes = codes.view(np.int8)
        wanted = ((codes.astype(int) + 2 ** (fmt.bits - 1)) % 2**fmt.bits - 2 ** (fmt.bits - 1)).astype(float)
    else:
        with np.errstate(invalid="ignore"):  # signalling NaN among the codes
            wanted = codes.view(dtype).astype(np.float64)
    mine = np.array([fmt.value(code) for code in range(2**fmt.bits)])
    np.testing.assert_array_equal(mine, wanted)
    np.testing.assert_array_equal(np.signbit(mine[mine == 0]), np.signbit(wanted[wanted == 0]))
    np.testing.assert_array_equal(fmt.values(), np.unique(wanted[np.isfinite(wanted)]))


@pytest.mark.parametrize(
    ("fmt", "dtype"), [t for t in TWINS if not t[0].is_integer], ids=lambda v: getattr(v, "name", "")
)
def test_limits_are_those_of_finfo(fmt, dtype):
    info = ml_dtypes.finfo(dtype)
    assert (fmt.maximum, fmt.smallest_normal, fmt.bits) == (float(info.max), float(info.smallest_normal), info.bits)
    assert fmt.precision == info.nmant + 1
    if fmt.has_subnormals:
        assert fmt.smallest_subnormal == float(info.smallest_subnormal)


@pytest.mark.parametrize("fmt", P3109, ids=str)
def test_p3109_values_are_those_of_gfloat(fmt):
    signedness = gfloat.Signedness.Signed if fmt.signed else gfloat.Signedness.Unsigned
    domain = gfloat.Domain.Extended if fmt.specials is Specials.EXTENDED else gfloat.Domain.Finite
    other = gfloat.formats.format_info_p3109(fmt.bits, fmt.precision, signedness, domain)
    theirs = np.array([gfloat.decode_float(other, code).fval for code in range(2**fmt.bits)])
    np.testing.assert_array_equal([fmt.value(code) for code in range(2**fmt.bits)], theirs)


@pytest.mark.parametrize("fmt", [*NAMED, *P3109], ids=str)
def test_derived_numbers_agree_with_the_values(fmt):
    if fmt.bits > 16:
        return
    values = fmt.values()
    assert np.all(np.diff(values) > 0)
    assert (values[0], values[-1]) == (fmt.minimum, fmt.maximum)
    assert 2.0**fmt.emax <= fmt.maximum < 2.0 ** (fmt.emax + 1)
    positive = values[values > 0]
    assert positive[0] == (fmt.smallest_subnormal if fmt.has_zero else fmt.smallest_normal)
    assert (0.0 in values) == fmt.has_zero
    assert len(values) == sum(np.isfinite([fmt.value(c) for c in range(2**fmt.bits)])) - fmt.has_negative_zero
    normal = positive[positive >= fmt.smallest_normal]
    if len(normal) > 2 and fmt.exponent_bits > 1:
        gaps = [Fraction(b) / Fraction(a) - 1 for a, b in itertools.pairwise(normal)]
        assert max(gaps) == fmt.eps == 2 * fmt.unit_roundoff


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "needs a name"),
        ({"precision": 0}, "precision must be an integer from 1"),
        ({"precision": 2.0}, "precision must be an integer"),
        ({"exponent_bits": -1}, "exponent_bits must be an integer from 0"),
        ({"exponent_bits": 12}, "exponent_bits must be an integer from 0 to 11"),
        ({"exponent_bits": 0}, "integer grid"),
        ({"precision": 1}, "needs precision >= 2"),
        ({"exponent_bits": 1}, "exponent_bits >= 2"),
        ({"specials": "IEEE"}, "member of Specials"),
        ({"specials": Specials.SCALE}, "needs precision=1 and signed=False"),
        ({"specials": Specials.FNUZ, "signed": False}, "unsigned formats take FN"),
        ({"specials": Specials.FN, "exponent_bits": 1, "precision": 1}, "no code is left"),
        ({"bias": 1.5}, r"bias \(or None\) must be an integer"),
        ({"bias": -2000}, "do not fit float64"),
        ({"bias": 2000}, "do not fit float64"),
        ({"signed": 1}, "signed must be True or False"),
    ],
)
def test_impossible_formats_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(Format(name="ok", exponent_bits=4, precision=4), **{"bias": None, **change})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: integer(1), "from 2 to 32"),
        (lambda: integer(4.0), "from 2 to 32"),
        (lambda: p3109(2, 1), "3 <= K <= 16"),
        (lambda: p3109(8, 8), "1 <= P <= 7"),
        (lambda: p3109(16, 1), "exponent_bits must be an integer from 0 to 11"),
        (lambda: p3109(8, 3, domain="extended"), "member of Domain"),
        (lambda: F.FP32.values(), "at most 16 bits"),
        (lambda: F.FP4_E2M1.value(16), "codes 0 to 15; received 16"),
        (lambda: Grid.stack(), "at least one grid"),
    ],
)
def test_bad_requests_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_formats_are_values():
    again = Format(name="FP8_E4M3", exponent_bits=4, precision=4, bias=7, specials=Specials.FN)
    assert again == F.FP8_E4M3
    assert hash(again) == hash(F.FP8_E4M3)
    assert F.FP8_E4M3 != F.FP8_E4M3_IEEE
    assert len(set(NAMED)) == len(NAMED)


def test_fixed_point_is_integers_over_a_power_of_two():
    np.testing.assert_array_equal(fixed_point(8, 6).values(), np.arange(-128, 128) / 64)
    assert fixed_point(8, 6).emax == 0


def test_stacked_grids_keep_exact_entries():
    stacked = Grid.stack(*(f.grid() for f in (F.INT4, F.E8M0, F.BF16)), Grid.off())
    assert stacked.maximum.dtype == np.float32
    np.testing.assert_array_equal(stacked.least, np.float32([0, 2.0**-127, 0, 0]))
    assert [float(v) for v in stacked.maximum[:3]] == [7.0, 2.0**127, F.BF16.maximum]
