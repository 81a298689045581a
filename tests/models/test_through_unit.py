"""Products through a matrix unit inside training, against the integer kernel that was compared with an H100."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import precsim as ps
from precsim.models.through_unit import Through, aligned_product, product_through
from precsim.numerics.arithmetic import H100_BF16, H100_FP8, Chain
from precsim.numerics.formats import FP8_E4M3, FP8_E5M2


def _values(rng, shape, fmt):
    """Values over the whole range of a format: zeros, subnormals and the maximum among them."""
    x = (rng.standard_normal(shape) * 2.0 ** rng.integers(-14, 12, shape)).astype(np.float32)
    x[rng.random(shape) < 0.1] = 0
    x[0, 0] = fmt.maximum
    return ps.round_to(np.clip(x, -fmt.maximum, fmt.maximum), fmt)


@pytest.mark.parametrize(("right", "chain"), [(FP8_E4M3, Chain()), (FP8_E5M2, Chain(promote=128))])
def test_float_operations_give_the_bits_of_the_integer_kernel(right, chain):
    rng = np.random.default_rng(0)
    a, b = _values(rng, (48, 200), FP8_E4M3), _values(rng, (200, 32), right)
    want = ps.arithmetic.matmul(a, b, H100_FP8.with_inputs(FP8_E4M3, right), chain=chain)
    got = aligned_product(Through(H100_FP8, chain), jnp.asarray(a), jnp.asarray(b), FP8_E4M3, right)
    assert np.array_equal(np.asarray(got).view(np.uint32), want.view(np.uint32))


def test_both_gradients_are_products_of_the_unit_and_float32_where_it_is_off():
    rng = np.random.default_rng(1)
    x, w = (jnp.asarray(_values(rng, s, FP8_E4M3)) for s in ((64, 24), (24, 16)))
    slope = jnp.asarray(_values(rng, (64, 16), FP8_E5M2))  # each holds its maximum: scales are 1
    how = Through(H100_FP8)
    for on in (True, False):
        out, back = jax.vjp(lambda x, w, on=on: product_through(how, x, w, jnp.bool_(on)), x, w)
        for (a, b), got, formats in (
            ((x, w), out, (FP8_E4M3, FP8_E4M3)),
            ((slope, w.T), back(slope)[0], (FP8_E5M2, FP8_E4M3)),
            ((x.T, slope), back(slope)[1], (FP8_E4M3, FP8_E5M2)),
        ):
            unit = ps.arithmetic.matmul(np.asarray(a), np.asarray(b), H100_FP8.with_inputs(*formats))
            assert np.array_equal(np.asarray(got), unit if on else np.asarray(a @ b))
            assert not np.array_equal(unit, np.asarray(a @ b))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"unit": H100_BF16}, "E8M13"),
        ({"unit": H100_FP8, "chain": Chain(parts=(32, 32))}, "without parts"),
        ({"unit": H100_FP8, "chain": Chain(promote=40)}, "32 products at a time"),
        ({"unit": H100_FP8, "gradients": ps.BF16}, "FP8_E4M3, FP8_E5M2"),
    ],
)
def test_what_training_cannot_carry_out_is_refused_in_words(given, words):
    with pytest.raises(ValueError, match=words):
        Through(**given)
