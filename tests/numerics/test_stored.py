"""What is stored gives back what the quantizer gives, in bytes that lie as other libraries lay them."""

import ml_dtypes
import numpy as np
import pytest

from precsim.numerics import (
    MXFP4,
    MXFP6,
    MXFP8,
    MXINT8,
    NF4,
    NVFP4,
    PerBlock,
    PerChannel,
    PerTensor,
    PerToken,
    Quantizer,
    Rounding,
    TwoLevel,
    TwoLevelRule,
)
from precsim.numerics import formats as F
from precsim.numerics.stored import pack, unpack

QUANTIZERS = [
    MXFP4, MXFP6, MXFP8, MXINT8, NF4, NVFP4,
    *(Quantizer(F.FP4_E2M1, TwoLevel(16, rule=rule)) for rule in TwoLevelRule),
    Quantizer(F.FP4_E2M1, TwoLevel(16, rows=16)), Quantizer(F.FP4_E2M1, TwoLevel(16, axis=0)),
    *(Quantizer(F.INT4, s) for s in (PerTensor(), PerChannel(0), PerChannel(-1), PerToken(), PerBlock(7, axis=0))),
    *(Quantizer(F.INT8, s, symmetric=False) for s in (PerTensor(), PerChannel(-1), PerToken())),
    Quantizer(F.FP8_E4M3, PerToken()), Quantizer(F.BF16, PerTensor()),
]  # fmt: skip


@pytest.fixture
def x(rng):
    return (rng.standard_normal((24, 70)) * np.exp(rng.standard_normal((24, 1)))).astype(np.float32)


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=range(len(QUANTIZERS)))
def test_decoding_gives_what_the_quantizer_gives(quantizer, x):
    for array in (x, x[:, :64].copy(), x[None]):
        stored = quantizer.encode(array)
        np.testing.assert_array_equal(stored.decode(), quantizer(array))
        assert stored.codes.shape == array.shape
        assert stored == quantizer.encode(array)
        assert stored != quantizer.encode(-array)
        codes = unpack(stored.packed(), quantizer.format.bits, array.shape[-1])
        np.testing.assert_array_equal(codes, stored.codes)
    if not isinstance(quantizer.scaling, TwoLevel):
        wide = x.astype(np.float64)
        np.testing.assert_array_equal(quantizer.encode(wide).decode(), quantizer(wide))


def test_sizes_are_those_of_the_formats(x):
    whole = x[:, :64].copy()
    for quantizer in (MXFP4, MXFP8, MXFP6, NF4):
        assert quantizer.encode(whole).nbytes == whole.size * quantizer.bits / 8
    assert NVFP4.encode(whole).nbytes == whole.size * NVFP4.bits / 8 + 4  # the array's own scale


def test_two_numbers_of_4_bits_share_a_byte_the_first_in_the_low_half():
    # torchao's pack_uint4 and the float4_e2m1fn_x2 of PyTorch: val1 in bits 7-4, val0 in bits 3-0
    block = np.float32([0.5, 1.0, -6.0, 3.0] * 8)
    stored = MXFP4.encode(block)
    assert stored.packed()[:2].tolist() == [0x21, 0x5F]
    assert stored.scales.tolist() == [127]
    mine = np.float32([0.5, 1.0, -6.0, 3.0]).astype(ml_dtypes.float4_e2m1fn).view(np.uint8)
    np.testing.assert_array_equal(stored.codes[:4], mine & 15)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8, 11, 16])
def test_packing_wastes_no_bit(bits, rng):
    codes = rng.integers(2**bits, size=(5, 13)).astype(np.uint16)
    packed = pack(codes, bits)
    assert packed.shape == (5, -(-13 * bits // 8))
    whole = [sum(int(c) << (bits * i) for i, c in enumerate(row)) for row in codes]
    assert [int.from_bytes(row.tobytes(), "little") for row in packed] == whole
    np.testing.assert_array_equal(unpack(packed, bits, 13), codes)


def test_scales_of_blocks_are_the_bytes_of_e8m0_and_e4m3(x):
    whole = x[:, :64].copy()
    scales = MXFP8.encode(whole).scales
    assert scales.shape == (24, 2)
    top = np.abs(whole.reshape(24, 2, 32)).max(axis=-1)
    np.testing.assert_array_equal(scales, np.frexp(top)[1] - 1 - 8 + 127)
    stored = NVFP4.encode(whole)
    assert stored.scales.shape == (24, 4)
    encode = np.float32(2688) / np.abs(whole).max()
    wanted = np.abs(whole.reshape(24, 4, 16)).max(axis=-1) * (encode * (np.float32(1) / np.float32(6)))
    np.testing.assert_array_equal(stored.scales, wanted.astype(ml_dtypes.float8_e4m3fn).view(np.uint8))


def test_square_blocks_of_a_matrix_and_of_its_transpose_are_the_same(rng):
    weights = rng.standard_normal((32, 48)).astype(np.float32)
    quantizer = Quantizer(F.FP4_E2M1, TwoLevel(16, rows=16))
    np.testing.assert_array_equal(quantizer(weights).T, quantizer(np.ascontiguousarray(weights.T)))
    assert quantizer.encode(weights).scales.shape == (2, 3)
    assert quantizer.bits == 4 + 8 / 256


def test_four_over_six_chooses_by_squared_error(rng):
    weights = rng.standard_normal((64, 64)).astype(np.float32)
    chosen = Quantizer(F.FP4_E2M1, TwoLevel(16, rule=TwoLevelRule.FOUR_OVER_SIX))
    plain = Quantizer(F.FP4_E2M1, TwoLevel(16, rule=TwoLevelRule.TORCHAO))
    error = [((q(weights) - weights) ** 2).reshape(64, 4, 16).sum(axis=-1) for q in (chosen, plain)]
    assert error[0].sum() < error[1].sum()
    # 4, 3 and 2 in a block whose largest is 4: exact with a step of 1, not with a step of 4/6
    block = np.float32([[4, 3, 2, 1] * 4, [6 * 256, 0, 0, 0] * 4])
    np.testing.assert_array_equal(chosen(block)[0], block[0])


def test_one_level_needs_no_scale_of_the_array():
    quantizer = Quantizer(F.FP4_E2M1, TwoLevel(16, rule=TwoLevelRule.ONE_LEVEL))
    block = np.float32([[6 * 1.125, 1.125 * 3] + [0] * 14])
    stored = quantizer.encode(block)
    assert stored.tensor_scale == 1
    assert stored.scales.tolist() == [[int(np.float32(1.125).astype(ml_dtypes.float8_e4m3fn).view(np.uint8))]]
    np.testing.assert_array_equal(stored.decode(), block)


def test_given_scales_are_used_and_saturate():
    stored = Quantizer(F.INT4, PerToken()).encode(np.float32([[1, 2, 30], [1, 2, 3]]), scales=[1.0, 0.5])
    np.testing.assert_array_equal(stored.decode(), [[1, 2, 7], [1, 2, 3]])
    np.testing.assert_array_equal(MXFP4.encode(np.full(32, 0.75, np.float32), scales=0.25).decode(), 0.75)


ONES = np.ones((2, 32), np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MXFP4.encode(np.float32([np.nan])), "x holds 1"),
        (lambda: Quantizer(F.INT4, PerToken()).encode(ONES, scales=[1.0] * 3), r"shape \(2,\); received \(3,\)"),
        (lambda: Quantizer(F.INT4).encode(ONES, scales=0.0), "at least 2"),
        (lambda: MXFP4.encode(ONES, scales=0.3), "powers of two; received 0.3"),
        (lambda: NVFP4.encode(ONES, scales=1.0), "scales are given where"),
        (lambda: NVFP4.encode(ONES.astype(float)), "received float64"),
        (lambda: Quantizer(F.INT4, rounding=Rounding.STOCHASTIC).encode(ONES), "nearest-even"),
        (lambda: unpack(np.zeros(3, np.uint8), 4, 4), "2 bytes a row"),
        (lambda: TwoLevel(16, axis=0, rows=16), "last axis"),
        (lambda: Quantizer(F.FP4_E2M1, TwoLevel(16, rows=16))(ONES[0]), "two axes"),
    ],
)
def test_bad_input_is_refused_with_the_value_received(call, message):
    with pytest.raises(ValueError, match=message):
        call()
