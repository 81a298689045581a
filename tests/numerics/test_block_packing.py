"""Blocks of GGUF files against the package ``gguf``, bit for bit."""

import gguf
import numpy as np
import pytest

from precsim.numerics.block_layouts import LAYOUTS, MXFP4_GGUF, Q4_0, Q4_K
from precsim.numerics.block_packing import decode_blocks, encode_blocks

ENCODED = [layout for layout in LAYOUTS.values() if layout.choice is not None]


def theirs(layout):
    return gguf.GGMLQuantizationType[layout.name]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=str)
def test_sizes_and_numbers_are_those_of_gguf(layout):
    assert gguf.GGML_QUANT_SIZES[theirs(layout)] == (layout.size, layout.block_bytes)
    assert theirs(layout).value == layout.number


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # gguf multiplies infinite scales
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=str)
def test_every_bit_of_random_and_adversarial_blocks_is_decoded_as_gguf_does(layout, rng):
    data = rng.integers(256, size=(2000, layout.block_bytes), dtype=np.uint8)
    data[:256] = np.arange(256, dtype=np.uint8)[:, None]  # each byte everywhere: all ones, subnormal and NaN scales
    data[256 : 256 + layout.block_bytes] = np.eye(layout.block_bytes, dtype=np.uint8)[: 2000 - 256] * 255
    with np.errstate(all="ignore"):
        wanted = gguf.dequantize(data, theirs(layout))
    got = decode_blocks(data, layout)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, wanted)
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(wanted[number]))
    np.testing.assert_array_equal(decode_blocks(data.reshape(4, -1), layout), wanted.reshape(4, -1))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("layout", ENCODED, ids=str)
def test_every_byte_is_encoded_as_gguf_does(layout, rng):
    x = rng.standard_normal((3000, layout.size)) * 2.0 ** rng.integers(-12, 12, (3000, 1))
    x[:300] = rng.integers(-8, 9, (300, layout.size))  # ties
    x[300:400] = np.abs(x[300:400])
    x[400], x[401, :] = 0, 1.5
    x = x.astype(np.float32)
    np.testing.assert_array_equal(encode_blocks(x, layout), gguf.quantize(x, theirs(layout)))


def test_exponent_just_below_a_power_of_two_is_read_from_bits():
    x = np.zeros((1, 32), np.float32)
    x[0, 0] = np.nextafter(np.float32(8), np.float32(0))
    assert decode_blocks(encode_blocks(x, MXFP4_GGUF), MXFP4_GGUF)[0, 0] == 6  # 2**0 scale, saturates
    assert gguf.quantize(x, theirs(MXFP4_GGUF))[0, 0] == 128  # their scale is one power too large


@pytest.mark.parametrize("layout", ENCODED, ids=str)
def test_what_is_decoded_is_encoded_again_within_a_step(layout, rng):
    x = rng.standard_normal((50, 2 * layout.size)).astype(np.float32)
    y = decode_blocks(encode_blocks(x, layout), layout)
    top = np.abs(x).reshape(100, -1).max(axis=1, keepdims=True)
    steps = 2 ** (layout.code_bits - 1) if layout is not MXFP4_GGUF else 4
    assert (np.abs(x - y).reshape(100, -1) <= top / steps * 1.01).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: decode_blocks(np.zeros(17, np.uint8), Q4_0), "18 bytes; received rows of 17"),
        (lambda: decode_blocks(np.zeros(18), Q4_0), "uint8 arrays; received float64"),
        (lambda: decode_blocks([0] * 18, Q4_0), "received list"),
        (lambda: encode_blocks(np.zeros(256), Q4_K), "decoded only"),
        (lambda: encode_blocks(np.zeros(33), Q4_0), "32 elements"),
        (lambda: encode_blocks(np.full(32, np.nan), Q4_0), "holds 32"),
    ],
)
def test_bad_input_is_refused_with_the_value_received(call, message):
    with pytest.raises(ValueError, match=message):
        call()
