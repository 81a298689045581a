"""Matrix units: digests of GPUs and of MMA-Sim, the rules in exact rationals, NumPy against JAX, bad input."""

from __future__ import annotations

import csv
import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import matrix_rules
from support.places import REFERENCE

import precsim as ps
from precsim.numerics import BF16, FP4_E2M1, FP8_E4M3, FP8_E5M2, FP16, FP32, TF32, Rounding, round_to
from precsim.numerics.arithmetic import (
    UNITS,
    Accumulator,
    Chain,
    Evidence,
    Join,
    MatrixUnit,
    dot,
    instruction,
    matmul,
    unit_error_bound,
)
from precsim.numerics.matrix_unit import BlockScales
from precsim.numerics.named_units import (
    A100_TF32,
    B200_MXFP8,
    B200_NVFP4,
    CDNA3_FP8,
    H100_BF16,
    H100_FP8,
    H100_FP16,
    H100_FP16_ACCUMULATE,
    H100_TF32,
)
from tests.hardware import matrix_units as hardware
from tests.support import mma_sim
from tests.support.matrix_inputs import Kind, accumulators, factors

KINDS = [kind for kind in Kind if kind is not Kind.PAIRS]
PLAIN = [unit for unit in UNITS if unit.scales is None]
SCALED = [unit for unit in UNITS if unit.scales is not None]
MIXED = H100_FP8.with_inputs(FP8_E5M2, FP8_E4M3)


def table(name: str) -> list[dict[str, str]]:
    with open(REFERENCE / name, newline="") as file:
        return list(csv.DictReader(file))


MEASURED = {(row["case"], row["kind"], int(row["chunk"])): row["sha256"] for row in table("matrix_units.csv")}
CASES = {case.name: case for case in hardware.cases()}


def all_kinds(unit: MatrixUnit, depth: int, rng):
    """Factors of every kind of numbers in one product: rows and columns of all kinds meet."""
    drawn = [factors(kind, unit.left, unit.right, (2, depth, 3), rng) for kind in KINDS]
    a, b = np.concatenate([d[0] for d in drawn]), np.concatenate([d[1] for d in drawn], 1)
    half = unit.output is FP16
    c = np.concatenate([accumulators(kind, half, (a.shape[0], 3), rng) for kind in KINDS], 1)
    return a, b, c


def bits(results) -> np.ndarray:
    array = np.asarray(results)
    return array.view(f"u{array.itemsize}")


def codes_of(wanted: np.ndarray, unit: MatrixUnit) -> np.ndarray:
    """Bits of exact results; NaN as the hardware writes it."""
    with np.errstate(invalid="ignore"):
        codes = bits(wanted.astype(np.float16 if unit.output is FP16 else np.float32))
    return np.where(np.isnan(wanted), matrix_rules.nan_code(unit), codes)


# -- outside: hardware and the published simulator -----------------------------------------------------------------


def test_every_chunk_of_every_case_has_a_digest():
    every = {(c.name, kind.name, i) for c in CASES.values() for kind in c.kinds for i in range(c.chunks)}
    assert set(MEASURED) == every


@pytest.mark.parametrize("name", hardware.UNITS)
def test_random_chunks_equal_the_hardware(name):
    # other chunks in each run, so that time covers them all
    drawn = np.random.default_rng()
    case = drawn.choice([case for case in CASES.values() if case.name.startswith(f"{name},")])
    kind, chunk = drawn.choice(case.kinds), int(drawn.integers(case.chunks))
    found = hardware.digest(hardware.expected(case, kind, chunk))
    assert found == MEASURED[case.name, kind.name, chunk], (case.name, kind, chunk)


@pytest.mark.weekly
@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_all_chunks_equal_the_hardware(case):
    for kind in case.kinds:
        for chunk in range(case.chunks):
            found = hardware.digest(hardware.expected(case, kind, chunk))
            assert found == MEASURED[case.name, kind.name, chunk], (kind, chunk)


def test_every_unit_equals_mma_sim():
    rows = table("mmasim.csv")
    assert {row["unit"] for row in rows} == {unit.name for unit in UNITS}
    units = {unit.name: unit for unit in UNITS}
    wrong = [
        (row["unit"], row["kind"])
        for row in rows
        if mma_sim.digest(mma_sim.expected(units[row["unit"]], Kind[row["kind"]])) != row["sha256"]
    ]
    assert not wrong


# -- the rules in exact rationals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [*PLAIN, MIXED], ids=lambda u: f"{u} {u.left}")
def test_products_equal_exact_rationals(unit, rng):
    a, b, c = all_kinds(unit, unit.terms + 3, rng)
    got = bits(matmul(a, b, unit, start=c))
    for i in range(a.shape[0]):
        for j in rng.choice(b.shape[1], 4, replace=False):
            wanted = matrix_rules.dot(a[i].tolist(), b[:, j].tolist(), unit, start=c[i, j].item())
            assert got[i, j] == codes_of(np.array(wanted), unit), (a[i], b[:, j], c[i, j])


@pytest.mark.parametrize("unit", SCALED, ids=str)
def test_scaled_products_equal_exact_rationals(unit, rng):
    for kind in mma_sim.kinds(unit):
        a, b, c, (sa, sb) = mma_sim.inputs(unit, kind)
        got = matmul(a, b, unit, start=c, scales=(sa, sb))
        for i, j in rng.integers((a.shape[0], b.shape[1]), size=(10, 2)):
            pairs = np.stack([np.repeat(v, unit.scales.size) for v in (sa[i], sb[:, j])], 1).tolist()
            wanted = matrix_rules.dot(a[i].tolist(), b[:, j].tolist(), unit, start=c[i, j].item(), scales=pairs)
            assert bits(got)[i, j] == codes_of(np.array(wanted), unit), (kind, i, j)


@pytest.mark.parametrize("chain", [Chain(promote=128), Chain(parts=(256, 64, 96)), Chain(64, (320, 96))], ids=str)
def test_promotion_and_parts_equal_exact_rationals(chain, rng):
    a, b = factors(Kind.NORMAL, FP8_E4M3, FP8_E4M3, (2, 416, 2), rng)
    wanted = [
        [matrix_rules.dot(x, y, H100_FP8, promote=chain.promote, parts=chain.parts) for y in b.T.tolist()]
        for x in a.tolist()
    ]
    assert matmul(a, b, H100_FP8, chain=chain).tolist() == wanted


def test_zeros_hold_the_alignment_up_at_2_to_the_minus_133():
    floor = dataclasses.replace(H100_BF16, least_exponent=-300)
    x, y = factors(Kind.TINY, BF16, BF16, (64, 16, 512), np.random.default_rng(1))
    assert (matmul(x, y, H100_BF16) != matmul(x, y, floor)).any()


def test_a_zero_sum_is_positive_and_nan_has_one_code():
    x = np.float32([[-0.0, -0.0], [1, -1], [np.nan, 1], [np.inf, -np.inf]])
    y = np.ones((2, 1), np.float32)
    got = matmul(x, y, H100_BF16, start=np.full((4, 1), -0.0, np.float32))
    assert bits(got).ravel().tolist() == [0, 0, 0x7FFFFFFF, 0x7FFFFFFF]
    assert bits(matmul(x, y, H100_FP16_ACCUMULATE)).ravel().tolist() == [0, 0, 0x7FFF, 0x7FFF]
    assert matmul(np.float32([[np.inf, 1]]), y, H100_BF16) == math.inf


def test_the_steps_of_an_instruction_add_up_to_its_result(rng):
    for kind in (Kind.FINITE, Kind.LOPSIDED):
        a, b = factors(kind, FP8_E5M2, FP8_E4M3, (20, 32, 1), rng)
        for x in a.tolist():
            steps = instruction(x, b[:, 0].tolist(), MIXED, 0.375)
            assert matrix_rules.rounded(steps.total, MIXED) == steps.result
            assert steps.result == matrix_rules.instruction(x, b[:, 0].tolist(), 0.375, MIXED)


def test_threads_do_not_change_bits(rng):
    a, b = factors(Kind.BITS, BF16, BF16, (300, 40, 130), rng)
    assert np.array_equal(bits(matmul(a, b, H100_BF16, threads=3)), bits(matmul(a, b, H100_BF16)))


def test_sums_of_one_sign_lose_and_promotion_saves_them():
    x = round_to(np.abs(np.random.default_rng(0).standard_normal((8, 4096))).astype(np.float32), FP8_E4M3)
    exact = x.astype(np.float64) @ x.T.astype(np.float64)
    plain = (matmul(x, x.T, H100_FP8) / exact - 1).mean()
    promoted = (matmul(x, x.T, H100_FP8, chain=Chain(promote=128)) / exact - 1).mean()
    assert -0.15 < plain < -0.04
    assert -0.002 < promoted < 0


# -- JAX -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [MIXED, H100_BF16, H100_FP16_ACCUMULATE, A100_TF32], ids=str)
def test_jax_gives_the_bits_of_numpy(unit, rng):
    a, b, c = all_kinds(unit, 2 * unit.terms + 3, rng)
    traced = matmul(jnp.asarray(a), jnp.asarray(b), unit, start=jnp.asarray(c))
    assert np.array_equal(bits(traced), bits(matmul(a, b, unit, start=c)))


def test_jax_promotes_and_differentiates_the_exact_product(rng):
    a, b = factors(Kind.NORMAL, FP8_E4M3, FP8_E4M3, (3, 288, 5), rng)
    chain = Chain(promote=128, parts=(160, 128))
    assert np.array_equal(
        matmul(jnp.asarray(a), jnp.asarray(b), H100_FP8, chain=chain), matmul(a, b, H100_FP8, chain=chain)
    )
    gradient = jax.grad(lambda x: matmul(x, jnp.asarray(b), H100_FP8).sum())(jnp.asarray(a))
    np.testing.assert_allclose(gradient, np.broadcast_to(b.sum(1), a.shape), rtol=1e-5)


# -- input ---------------------------------------------------------------------------------------------------------

ONE = np.ones((1, 64), np.float32)
NARROW = Accumulator(BF16)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: matmul(ONE * 0.3, ONE.T, H100_FP8), "a must hold values of FP8_E4M3; 0.3"),
        (lambda: matmul(ONE, ONE.T * np.inf, H100_FP8), "FP8_E4M3 has no infinity, and b holds 64"),
        (lambda: matmul(ONE, ONE, H100_FP8), "shapes"),
        (lambda: matmul(ONE, ONE.T, FP16), "Accumulator or a MatrixUnit"),
        (lambda: matmul(ONE, ONE.T, NARROW, chain=Chain(128)), "chain belongs to a MatrixUnit"),
        (lambda: matmul(ONE, ONE.T, NARROW, threads=2), "threads belongs to a MatrixUnit"),
        (lambda: matmul(ONE, ONE.T, H100_FP8, noise=ps.CounterBits(1)), "draw no random bits"),
        (lambda: matmul(ONE, ONE.T, H100_FP8, chain=128), "chain must be a Chain"),
        (lambda: matmul(ONE, ONE.T, H100_FP8, chain=Chain(48)), "32 products at a time; received a chain cut after 48"),
        (lambda: matmul(ONE, ONE.T, H100_FP8, chain=Chain(parts=(32, 64))), r"add up to K = 64; received \(32, 64\)"),
        (lambda: matmul(ONE, ONE.T, H100_FP8, chain=Chain(32), start=1.0), "one chain from end to end"),
        (lambda: matmul(ONE, ONE.T, H100_FP16_ACCUMULATE, chain=Chain(32)), "keeps FP16"),
        (lambda: matmul(ONE, ONE.T, H100_FP8, start=1 + 2.0**-30), "starts from float32 numbers"),
        (lambda: matmul(ONE, ONE.T, H100_FP8, scales=(ONE, ONE)), "has no block scales"),
        (lambda: matmul(ONE, ONE.T, B200_NVFP4), "needs scales"),
        (lambda: matmul(ONE, ONE.T, B200_NVFP4, scales=(-ONE[:, :4], ONE.T[:4])), "without their sign"),
        (lambda: matmul(ONE, ONE.T, B200_MXFP8, scales=(ONE, ONE.T)), r"shapes \(1, 2\) and \(2, 1\)"),
        (lambda: matmul(ONE, ONE.T, H100_FP8, threads=0), "threads must be an integer"),
        (lambda: matmul(jnp.asarray(ONE), ONE.T, H100_FP8, threads=2), "for NumPy arrays"),
        (lambda: matmul(jnp.asarray(ONE), ONE.T, CDNA3_FP8), "sums have 32 bits"),
        (lambda: H100_FP8.with_inputs(BF16, BF16), "takes factors in FP8_E4M3, FP8_E5M2; received BF16"),
        (lambda: dataclasses.replace(H100_FP8, split=3), "must divide the 32 terms; received 3"),
        (lambda: dataclasses.replace(H100_FP8, fraction_bits=50), "received 50"),
        (lambda: dataclasses.replace(H100_FP8, output=FP8_E4M3), "IEEE format of at most 24 bits"),
        (lambda: dataclasses.replace(H100_FP8, rounding=Rounding.UP), "received"),
        (lambda: dataclasses.replace(H100_FP8, join=1), "member of Join; received 1"),
        (lambda: BlockScales(FP16, 32), "powers of two"),
        (lambda: Chain(parts=[64]), "tuple of lengths"),
        (lambda: Chain(promote=0), "received 0"),
        (lambda: instruction([1.0] * 33, [1.0] * 33, H100_FP8), "1 to 32 products"),
        (lambda: instruction([math.nan], [1.0], H100_FP8), "finite numbers; received nan"),
        (lambda: instruction([1.0], [1.0], B200_NVFP4), "without block scales"),
        (lambda: unit_error_bound(CDNA3_FP8, 64), "align the accumulator"),
        (lambda: unit_error_bound(H100_FP8, 64, Chain(parts=(32,))), "n=64"),
    ],
)
def test_bad_input_is_refused_with_the_value_received(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("chain", [Chain(), Chain(promote=128), Chain(parts=(512, 512))], ids=str)
@pytest.mark.parametrize("unit", [H100_FP8, H100_BF16, A100_TF32, H100_FP16_ACCUMULATE], ids=str)
def test_no_sum_beats_the_bound(unit, chain, rng):
    if chain != Chain() and unit is H100_FP16_ACCUMULATE:
        return
    bound = unit_error_bound(unit, 1024, chain)
    worst = 0.0
    for kind in (Kind.NORMAL, Kind.CANCELLING, Kind.LOPSIDED):
        a, b = factors(kind, unit.left, unit.right, (16, 1024, 64), rng)
        for x, y in ((a, b), (np.abs(a), np.abs(b))):
            size = np.abs(x).astype(np.float64) @ np.abs(y).astype(np.float64)
            with np.errstate(invalid="ignore"):
                error = np.abs(matmul(x, y, unit, chain=chain) - x.astype(np.float64) @ y.astype(np.float64)) / size
            worst = max(worst, float(np.max(error)))
    assert 0 < worst <= bound


def test_dot_serves_both_and_old_calls_stay(rng):
    x = round_to(rng.standard_normal(70).astype(np.float32), BF16)
    assert dot(x, x, H100_BF16) == matmul(x[None], x[:, None], H100_BF16)[0, 0]
    assert dot(x, x, Accumulator(FP32)) == matmul(x[None], x[:, None], Accumulator(FP32))[0, 0]
    assert matmul([[1.0]], [[2.0]], NARROW).dtype == np.float64


def test_units_say_how_they_are_known():
    measured = {unit for unit in UNITS if unit.evidence is Evidence.MEASURED}
    assert measured == {H100_FP8, H100_BF16, H100_FP16, H100_TF32, H100_FP16_ACCUMULATE}
    assert all("arXiv:2511.10909" in unit.source for unit in set(UNITS) - measured)
    assert {unit.join for unit in UNITS} == set(Join)
    assert {FP4_E2M1, TF32} <= {fmt for unit in UNITS for fmt in unit.accepts}
