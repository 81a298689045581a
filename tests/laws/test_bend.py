"""The law of the bend: limits in closed form, what it reads, what it is fitted to, and how it is written."""

from __future__ import annotations

import numpy as np
import pytest

import precsim as ps
from precsim import laws
from precsim.cli.law_words import form
from precsim.laws import (
    Bent,
    BentPower,
    BentRidge,
    ChenDegradation,
    Chinchilla,
    KumarDegradation,
    Law,
    SecondOrderDegradation,
    Tensor,
)
from precsim.planning import Choice, plan
from precsim.planning.inputs import read

BASE = Chinchilla(E=0.5, A=7.0, B=42.0, alpha=0.3, beta=0.35)
TWIN = SecondOrderDegradation(K=0.004, gamma_D=0.7, gamma_N=0.4)
LAW = BASE | Bent(TWIN, K_bend=0.05)
POWER = BASE | BentPower(TWIN, c_bend=0.2, p_bend=0.66)
RIDGE = BASE | BentRidge(TWIN, K_bend=0.05, exponent=0.35)
ALL = pytest.mark.parametrize("law", [LAW, POWER, RIDGE], ids=["bend", "power", "ridge"])


def test_little_damage_is_lost_in_full_and_much_of_it_grows_as_its_logarithm():
    for K, expected in ((1e6, 1.0), (1e-6, 0.0)):
        bent = Bent(TWIN, K_bend=K)
        assert bent(1e5, 1e7, weights=4) / TWIN(1e5, 1e7, post=4) == pytest.approx(expected, abs=2e-3)
    large = Bent(SecondOrderDegradation(K=1e6, gamma_D=0.0, gamma_N=0.0), K_bend=0.1)
    added = large(1e5, 1e7, weights=3) - large(1e5, 1e7, weights=4)
    assert added == pytest.approx(0.2 * np.log(7 / 3), rel=1e-5)  # ln of the ratio of two steps, squared


@ALL
def test_it_is_nothing_in_full_precision_and_the_twins_damage_after_it(law):
    assert law(1e5, 1e7) == BASE(1e5, 1e7)
    assert law(1e5, 1e7, post=4) == BASE(1e5, 1e7) + TWIN(1e5, 1e7, post=4)
    assert law(1e5, 1e7, weights=4, post=4) == law(1e5, 1e7, weights=4)
    assert law(1e5, 1e7, weights=4, post=6) == law(1e5, 1e7, weights=4)
    assert law(1e5, 1e7, weights=4, post=3) > law(1e5, 1e7, weights=4)
    some = {"weights": np.array([np.inf, 4.0, 4.0, np.inf]), "post": np.array([np.inf, np.inf, 3.0, 3.0])}
    one = [float(law(1e5, 1e7, weights=w, post=p)) for w, p in zip(*some.values(), strict=True)]
    assert law(1e5, 1e7, **some) == pytest.approx(one, rel=1e-14)


def test_a_power_of_the_damage_with_its_slope_for_what_is_rounded_further():
    damage, further = (TWIN(1e5, 1e7, post=b) for b in (4, 3))
    assert POWER(1e5, 1e7, weights=4) - BASE(1e5, 1e7) == pytest.approx(0.2 * damage**0.66)
    left = POWER(1e5, 1e7, weights=4, post=3) - POWER(1e5, 1e7, weights=4)
    up, down = (0.2 * (damage * s) ** 0.66 for s in (1 + 1e-6, 1 - 1e-6))
    assert left == pytest.approx(further * (up - down) / (2e-6 * damage), rel=1e-6)


def test_a_ridge_bends_later_in_units_of_the_loss_that_is_left():
    """One trade-off of damage and of the loss that is still to be learned: both a tenth, and so is the gap."""
    flat = BentRidge(SecondOrderDegradation(K=0.5, gamma_D=0.0, gamma_N=0.0), K_bend=0.05, exponent=0.5, D0=1e7)
    less = flat.replace(K=0.05)
    assert less(1e5, 1e9, weights=4) == pytest.approx(flat(1e5, 1e7, weights=4) / 10, rel=1e-8)


@pytest.mark.parametrize(("exponent", "word"), [(0.0, "greater than 0"), (-1.0, "greater than 0")])
def test_a_file_cannot_give_a_ridge_an_impossible_exponent(exponent, word):
    record = RIDGE.parts[1].record() | {"exponent": exponent}
    with pytest.raises(ValueError, match=word):
        laws.Part.written(record)


def test_what_is_rounded_further_loses_the_slope_of_the_bend():
    damage = TWIN(1e5, 1e7, post=4)
    further = LAW(1e5, 1e7, weights=4, post=3) - LAW(1e5, 1e7, weights=4)
    assert further == pytest.approx(TWIN(1e5, 1e7, post=3) / (1 + damage / 0.05))
    assert LAW(1e5, 1e7, weights=4) - BASE(1e5, 1e7) == pytest.approx(0.05 * np.log1p(damage / 0.05))


def test_training_in_few_bits_is_never_worse_than_rounding_to_them():
    N, D, bits = (x.ravel() for x in np.meshgrid(np.logspace(4, 9, 6), np.logspace(6, 12, 7), [3.0, 4.0, 6.0]))
    assert np.all(LAW(N, D, weights=bits) < LAW(N, D, post=bits))


@ALL
def test_gradients_are_those_of_finite_differences(law):
    for name, slope in law.gradient(1e5, 1e7, weights=4.0, post=3.0).items():
        value = law.parameters[name]
        up, down = (law.replace(**{name: value * s})(1e5, 1e7, weights=4.0, post=3.0) for s in (1 + 1e-6, 1 - 1e-6))
        assert slope == pytest.approx((up - down) / (2e-6 * value), rel=1e-5, abs=1e-9)


def test_a_fit_finds_the_constants_from_losses_as_trained_and_foretells_rounding():
    N, D, bits = (x.ravel() for x in np.meshgrid([3e4, 1e5, 4e5, 1e6], np.logspace(6, 8, 5), [3.0, 4.0, 6.0, np.inf]))
    rng = np.random.default_rng(0)
    loss = LAW(N, D, weights=bits) * np.exp(1e-3 * rng.standard_normal(N.size))
    found = ps.fit(Chinchilla() | Bent(SecondOrderDegradation()), {"N": N, "D": D, "weights": bits, "loss": loss})
    assert found.status is ps.Status.CONVERGED
    assert found.law.K_bend == pytest.approx(0.05, rel=0.15)
    assert found.law.delta(1e5, 3e7, post=4) == pytest.approx(float(TWIN(1e5, 3e7, post=4)), rel=0.05)


def test_a_plan_reads_the_bits_of_training_and_of_serving_and_no_others():
    assert read(LAW) == read(POWER) == read(RIDGE) == {"weights", "post"}
    found = plan(LAW, compute=1e15, choices=[Choice(), Choice(weights=4), Choice(post=4)])
    losses = {o.choice.label: o.loss for o in found.options}
    assert losses["W4A16KV16"] < losses["W16A16KV16>4"]
    with pytest.raises(ValueError, match="activations"):
        plan(LAW, compute=1e15, choices=[Choice(weights=4, activations=4)])


def test_it_is_written_and_read():
    for law in (LAW, POWER, RIDGE):
        assert Law.from_json(law.to_json()) == law
    words = {"bent-power": "BentPower", "bent-ridge": "BentRidge"}
    for word, title in words.items():
        assert form(f"chinchilla+{word}:kumar").label == f"Chinchilla | {title}(KumarDegradation)"
    assert form("chinchilla+bent:second-order").label == "Chinchilla | Bent(SecondOrderDegradation)"
    assert (Chinchilla() | Bent(KumarDegradation())).free[-4:] == ("gamma_D", "gamma_N", "gamma_post", "K_bend")
    with pytest.raises(ValueError, match="only a δ of rounding after training can be bent, not ChenDegradation"):
        Bent(ChenDegradation(Tensor.WEIGHTS))
    with pytest.raises(ValueError, match=r"bent needs a degradation after training.*'bent:saturating:weights'"):
        form("chinchilla+bent:saturating:weights")
    with pytest.raises(ValueError, match="bent needs a degradation"):
        form("chinchilla+bent")


@pytest.mark.parametrize("inner", [{"kind": "Chinchilla"}, {"kind": "Nothing"}, 3, None])
def test_a_file_with_another_inner_part_is_refused(inner):
    record = LAW.parts[1].record() | {"inner": inner}
    with pytest.raises(ValueError, match=r"bent|no part of a law"):
        laws.Part.written(record)
