"""Speed of the simulated matrix units in products a second: process CPU time of one core, beside a plain Python loop.

The loop follows the same rules, one scalar at a time in Python floats, as reference programs do. Run by ``make bench``.
"""

import math
import time

import numpy as np
import pytest

from precsim.numerics import BF16, round_to
from precsim.numerics.arithmetic import H100_BF16, H100_FP8, H100_FP16, H100_TF32, Chain, matmul

CASES = {  # unit, chain, products a second required
    "FP8": (H100_FP8, Chain(), 4e8),
    "FP8, promoted": (H100_FP8, Chain(promote=128), 4e8),
    "BF16": (H100_BF16, Chain(), 3e8),
    "FP16": (H100_FP16, Chain(), 3e8),
    "TF32": (H100_TF32, Chain(), 2e8),
}


def taken_apart(x, least):
    """Significand and exponent; a subnormal keeps the least exponent."""
    exponent = math.frexp(x)[1]
    exponent = max(exponent - 1, least) if x else least
    return x / 2.0**exponent, exponent


def plain_dot(a, b, unit):
    """One dot product by the rules, in Python floats."""
    c = 0.0
    for k in range(0, len(a), unit.terms):
        terms = [(*taken_apart(c, -126),)] if c else []
        for x, y in zip(a[k : k + unit.terms], b[k : k + unit.terms], strict=True):
            (s, e), (t, g) = taken_apart(x, unit.left.emin), taken_apart(y, unit.right.emin)
            if s * t:
                terms.append((s * t, e + g))
        top = max([e for _, e in terms], default=unit.least_exponent)
        f = unit.fraction_bits
        total = sum(math.trunc(s * 2.0 ** (e - top + f)) for s, e in terms) * 2.0 ** (top - f)
        s, e = taken_apart(total, -126)
        stored = unit.output.precision - 1
        c = math.trunc(s * 2.0**stored) * 2.0 ** (e - stored)
    return c


@pytest.mark.parametrize("name", CASES)
def test_products_a_second(name):
    unit, chain, required = CASES[name]
    rng = np.random.default_rng(0)
    a = round_to(rng.standard_normal((256, 2048)).astype(np.float32), unit.left)
    b = round_to(rng.standard_normal((2048, 256)).astype(np.float32), unit.right)
    matmul(a[:1], b, unit, chain=chain)  # compiled
    rates = []
    for _ in range(5):
        start = time.process_time()
        matmul(a, b, unit, chain=chain)
        rates.append(a.shape[0] * b.size / (time.process_time() - start))
    print(f"{name:14} {np.median(rates):.2e} products/s, required {required:.0e}")  # noqa: T201
    assert np.median(rates) > required


def test_the_plain_loop_gives_the_same_and_is_slow():
    rng = np.random.default_rng(0)
    a, b = round_to(rng.standard_normal((2, 8, 1024)).astype(np.float32), BF16)
    start = time.process_time()
    slow = [plain_dot(x, y, H100_BF16) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    rate = a.size / (time.process_time() - start)
    assert slow == np.diag(matmul(a, b.T, H100_BF16)).tolist()
    print(f"plain Python   {rate:.2e} products/s")  # noqa: T201
