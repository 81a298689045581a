"""Arrays, tensors and parameters as people have them: what is taken gives the same numbers, the rest is named."""

import sys
import types

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from precsim.numerics import (
    MXFP4,
    NF4,
    NVFP4,
    Accumulator,
    CounterBits,
    Order,
    PerBlock,
    PerChannel,
    PerToken,
    Quantizer,
    decode,
    encode,
    round_to,
)
from precsim.numerics import formats as F
from precsim.numerics.inputs import as_numbers

VALUES = np.float32([[0.5, -1.25, 3.0, 0.0625], [7.0, -0.375, 1.5, -2.0]])


class Tensor:
    """A stand-in for another library's tensor: nothing but the DLPack protocol."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **how):
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


KINDS = {
    "float16": VALUES.astype(np.float16),
    "bfloat16": VALUES.astype(ml_dtypes.bfloat16),
    "float8": VALUES.astype(ml_dtypes.float8_e4m3fn),
    "float64": VALUES.astype(np.float64),
    "big-endian": VALUES.astype(">f4"),
    "big-endian float64": VALUES.astype(">f8"),
    "list": VALUES.tolist(),
    "dlpack": Tensor(VALUES),
    "transposed": np.asfortranarray(VALUES),
    "jax": jnp.asarray(VALUES),
    "jax bfloat16": jnp.asarray(VALUES, jnp.bfloat16),
    "jax float16": jnp.asarray(VALUES, jnp.float16),
}
QUANTIZERS = [Quantizer(F.INT4, PerChannel(-1)), Quantizer(F.FP8_E4M3, PerToken()), MXFP4, NF4]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_array_gives_the_same_numbers(kind):
    x = KINDS[kind]
    for fmt in (F.FP4_E2M1, F.FP8_E4M3, F.BF16):
        np.testing.assert_array_equal(round_to(x, fmt), round_to(VALUES, fmt))
    codes = encode(x, F.FP8_E4M3)
    np.testing.assert_array_equal(codes, encode(VALUES, F.FP8_E4M3))
    for quantizer in QUANTIZERS:
        got = quantizer(x)
        assert isinstance(got, jax.Array) == kind.startswith("jax")
        np.testing.assert_allclose(got, quantizer(VALUES), rtol=2.0**-22)  # float64 keeps more of 1/scale


def test_torch_bfloat16_comes_through_its_bits(monkeypatch):
    # torch is not installed here: a stand-in with the five calls used
    class Bfloat16:
        __module__, dtype = "torch", "torch.bfloat16"

        def detach(self):
            return self

        cpu = contiguous = detach

        def view(self, dtype):
            assert dtype == "int16"
            return Tensor(VALUES.astype(ml_dtypes.bfloat16).view(np.int16))

        def __dlpack__(self, **how):
            raise BufferError("NumPy knows no bfloat16")

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(int16="int16"))
    np.testing.assert_array_equal(as_numbers(Bfloat16()), VALUES)


def test_integers_are_exact_or_refused():
    np.testing.assert_array_equal(round_to(np.arange(5), F.FP4_E2M1), [0, 1, 2, 3, 4])
    assert round_to(np.uint64([2**53]), F.FP32)[0] == 2**53
    with pytest.raises(ValueError, match=r"beyond 2\*\*53"):
        round_to(np.int64([2**53 + 1]), F.FP32)


def test_float64_is_quantized_in_float64():
    x = np.array([1.0, 7.0, 0.5 + 2.0**-40])
    y = Quantizer(F.INT4)(x)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, [1, 7, 1])  # in float32 the last is a tie, which goes to 0
    np.testing.assert_array_equal(Quantizer(F.FP4_E2M1, PerBlock(3, scale_format=F.E8M0))(x * 2.0**-300), x * 0)
    np.testing.assert_array_equal(MXFP4(VALUES.astype(float)), MXFP4(VALUES))


def test_numpy_memory_is_not_copied():
    assert as_numbers(VALUES) is VALUES
    assert np.shares_memory(as_numbers(Tensor(VALUES)), VALUES)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 32)])
def test_empty_arrays_give_empty_arrays(shape):
    x = np.zeros(shape, np.float32)
    for array in (x, jnp.asarray(x)):
        assert round_to(array, F.FP8_E4M3).shape == shape
        assert encode(array, F.FP8_E4M3).shape == shape
        assert decode(encode(array, F.FP8_E4M3), F.FP8_E4M3).shape == shape
        for quantizer in (*QUANTIZERS, NVFP4):
            assert quantizer(array).shape == shape
    assert round_to([], F.INT4).shape == decode([], F.INT4).shape == (0,)


def test_an_array_of_no_dimension_became_one_of_one_element():
    for fmt in (F.FP8_E4M3, F.E8M0, F.BF16):
        x = np.array(1.5, np.float32)
        assert round_to(x, fmt).shape == encode(x, fmt).shape == decode(encode(x, fmt), fmt).shape == ()
    assert Quantizer(F.INT4)(np.array(1.5, np.float32)).shape == ()
    assert Quantizer(F.INT4, symmetric=False)(np.array(1.5, np.float32)).shape == ()


def test_numpy_integers_are_parameters():
    one, four = np.int64(1), np.uint8(4)
    assert F.integer(four) == F.INT4
    assert F.p3109(np.int32(8), four) == F.p3109(8, 4)
    assert PerBlock(np.int64(32), axis=np.int8(-1)) == PerBlock(32)
    assert CounterBits(one) == CounterBits(1)
    assert Accumulator(F.FP16, Order.BLOCKED, block=four).block == 4
    assert F.Format(name="x", exponent_bits=four, precision=four, bias=one).bias == 1
    np.testing.assert_array_equal(round_to(VALUES, F.INT4, threads=one), round_to(VALUES, F.INT4))
    for wrong in (True, np.True_, 4.0, "4", None):
        with pytest.raises(ValueError, match="must be an integer"):
            PerBlock(wrong)


def test_codes_out_of_range_were_decoded_by_jax():
    for fmt, code in [(F.FP4_E2M1, 16), (F.BF16, 2**16), (F.FP6_E2M3, -1)]:
        with pytest.raises(ValueError, match="lie in 0"):
            decode(jnp.asarray([code]), fmt)
        assert np.isnan(jax.jit(lambda c, f=fmt: decode(c, f))(jnp.asarray([code]))).all()  # it cannot be refused there


WIDE = [
    F.Format(name="e7p12", exponent_bits=7, precision=12),
    F.Format(name="e8p12f", exponent_bits=8, precision=12, bias=128, specials=F.Specials.FN),
    F.Format(name="e5p20z", exponent_bits=5, precision=20, specials=F.Specials.FNUZ),
    F.integer(20),
    F.TF32,
    F.FP32,
]


@pytest.mark.parametrize("fmt", WIDE, ids=str)
def test_what_can_be_encoded_can_be_decoded(fmt, rng):
    x = (rng.standard_normal(500) * 2.0 ** rng.integers(-20, 12, 500)).astype(np.float32)
    x[:4] = 0, -0.0, fmt.maximum if fmt.maximum < 3e38 else 1, fmt.smallest_subnormal
    codes = encode(x, fmt)
    wanted = round_to(x, fmt)
    np.testing.assert_array_equal(decode(codes, fmt), wanted)
    np.testing.assert_array_equal(jax.jit(lambda c: decode(c, fmt))(codes), decode(jnp.asarray(codes), fmt))
    np.testing.assert_array_equal(decode(codes[:50], fmt, dtype=np.float64), [fmt.value(int(c)) for c in codes[:50]])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array([True]), "received bool"),
        (np.array([1j]), "received complex128"),
        (np.array(["1"]), "received <U1"),
        (np.array([None]), "received object"),
        (np.ma.masked_array(VALUES), "masked"),
        (jnp.array([1, 2]), "int32"),
        (jnp.array([1j]), "complex64"),
    ],
)
def test_what_cannot_be_taken_is_named(x, message):
    for call in (lambda: round_to(x, F.FP8_E4M3), lambda: Quantizer(F.INT4)(x)):
        with pytest.raises(ValueError, match=message):
            call()
