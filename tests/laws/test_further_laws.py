"""Laws of repetition, of experts, of quantized phases and of mixed widths, against what their sources print."""

from __future__ import annotations

import numpy as np
import pytest

from precsim import laws
from precsim.cli.law_words import form
from precsim.laws import Effective, Experts, Law, MixedDegradation, QuantizedPhase, best_qat_share, published
from precsim.laws.jets import Jet
from precsim.planning import Choice, plan

REPEATED = published.MUENNIGHOFF_2023
EXPERTS = published.LUDZIEJEWSKI_2025
PHASES = QuantizedPhase(0.1, 0.5, 1.0, 0.5, 0.1, 0.3, 1.0, 0.5, 0.1, 0.1, 0.3)


# -- repetition ------------------------------------------------------------------------------------------------------


def printed_repetition(N, D, unique):
    """Equations 5, 6 and the printed constants of the source, step by step."""
    A, B, E, alpha = np.exp(6.255414), np.exp(7.3049974), np.exp(0.6254804), 0.3526596
    G = (A / B) ** (1 / (2 * alpha))
    unique = min(unique, D)
    repeats = D / unique - 1
    tokens = unique + unique * 15.387756 * (1 - np.exp(-repeats / 15.387756))
    best = min(unique * G * G, N)
    excess = N / best - 1
    parameters = best + best * 5.309743 * (1 - np.exp(-excess / 5.309743))
    return E + A / parameters**alpha + B / tokens**alpha


@pytest.mark.parametrize(("N", "D", "unique"), [(1e9, 4e10, 1e10), (8e9, 1e12, 1e11), (1e8, 1e9, 1e8)])
def test_repeated_data_as_printed(N, D, unique):
    assert REPEATED(N, D, unique_tokens=unique) == pytest.approx(printed_repetition(N, D, unique), rel=1e-12)


def test_one_epoch_repeats_nothing_and_many_are_worth_sixteen():
    assert REPEATED(1e8, 1e10) == REPEATED(1e8, 1e10, unique_tokens=1e10) == REPEATED(1e8, 1e10, unique_tokens=np.inf)
    part = REPEATED.factors[0]
    assert 1e14 * part.factor(part.setting(1.0, 1e14, unique_tokens=1e9)) == pytest.approx(16.387756e9, rel=1e-3)
    four = part.factor(part.setting(1.0, 4e9, unique_tokens=1e9))
    assert four > 0.93  # the source: up to four epochs hardly differ from fresh data


def test_a_plan_knows_that_the_data_set_is_finite():
    fresh, scarce = (plan(REPEATED, compute=1e22, choices=[Choice(context={"unique_tokens": u})]) for u in (1e13, 1e10))
    assert scarce.loss > fresh.loss
    assert scarce.D > 10 * 1e10  # it repeats the data
    assert scarce.N < fresh.N  # the source: with repeated data, smaller models and more epochs
    assert fresh.loss == pytest.approx(plan(REPEATED, compute=1e22).loss, rel=1e-12)


# -- experts ---------------------------------------------------------------------------------------------------------

_TABLE_4 = {  # E: m, mu, n, nu of m N^mu + n D^nu + 1.3637
    1: (30.3640, -0.1817, 53.9838, -0.1965),
    2: (27.7982, -0.1780, 66.8401, -0.2065),
    4: (24.8462, -0.1731, 87.7022, -0.2192),
    8: (21.8330, -0.1676, 119.9126, -0.2338),
    16: (19.0159, -0.1617, 167.5073, -0.2494),
    32: (16.5424, -0.1557, 234.6726, -0.2652),
}
_TABLE_1 = {  # (budget, E): best active parameters, best tokens
    (1e20, 1): (1.7e9, 9.7e9),
    (1e20, 8): (990e6, 17e9),
    (1e20, 32): (669e6, 24.9e9),
    (1e21, 1): (5.7e9, 29.3e9),
    (1e21, 32): (2.85e9, 58.4e9),
    (1e22, 1): (18.8e9, 88.6e9),
    (1e22, 8): (14.4e9, 115.8e9),
    (1e22, 32): (12.2e9, 136.9e9),
}


@pytest.mark.parametrize("experts", _TABLE_4)
def test_a_number_of_experts_reduces_to_the_printed_chinchilla_law(experts):
    m, mu, n, nu = _TABLE_4[experts]
    for N, D in ((1e8, 2e9), (1e9, 2e10), (3e9, 1e11)):
        printed = m * N**mu + n * D**nu + 1.3637
        assert EXPERTS(N, D, experts=experts) == pytest.approx(
            printed, rel=3e-3
        )  # coefficients of three to four digits


@pytest.mark.parametrize(("compute", "experts"), _TABLE_1)
def test_the_best_mixture_of_a_budget_as_printed(compute, experts):
    found = plan(EXPERTS, compute=compute, choices=[Choice(context={"experts": experts})])
    assert (found.N, found.D) == pytest.approx(_TABLE_1[compute, experts], rel=0.02)


def test_one_expert_is_a_dense_model():
    assert EXPERTS(1e9, 1e11, experts=1) == EXPERTS(1e9, 1e11)


def test_less_than_one_expert_and_no_data_are_refused():
    with pytest.raises(ValueError, match="experts must be 1 or more, got 0"):
        EXPERTS(1e9, 1e11, experts=0)
    with pytest.raises(ValueError, match="unique_tokens must be positive, got 0"):
        REPEATED(1e9, 1e11, unique_tokens=0)


def test_memory_of_a_mixture_is_not_that_of_its_active_parameters():
    with pytest.raises(ValueError, match="memory holds all experts"):
        plan(EXPERTS, compute=1e22, memory=80e9, choices=[Choice(context={"experts": 8})])


# -- quantized phases ------------------------------------------------------------------------------------------------


def test_the_share_of_a_quantized_phase_grows_with_training_and_with_fewer_bits():
    """e^(−a/ln S) is the printed exp(ln S − a/ln S)/S."""
    S = 1e11 / (1e9 * 4 / 8)
    assert best_qat_share(1e9, 1e11, 4) == pytest.approx(np.exp(np.log(S) - 6.7297 / np.log(S)) / S, rel=1e-14)
    assert (np.diff(best_qat_share(1e9, np.geomspace(1e10, 1e14, 9), 4)) > 0).all()
    assert (np.diff(best_qat_share(1e9, 1e11, np.array([1, 2, 4, 6]))) < 0).all()
    assert best_qat_share(1e9, 1e8, 4) == 0
    with pytest.raises(ValueError, match="must be positive"):
        best_qat_share(1e9, -1.0, 4)


def test_a_quantized_phase_as_printed():
    theta, kappa, phi, chi, psi, omega, lam, mu, nu, xi, rho = PHASES.parameters.values()
    N, D, P, share = 2e9, 3e11, 3.0, 0.2
    S = D / (N * P / 8)
    printed = (
        theta * 2 ** (-kappa * P)
        + theta * phi * 2 ** (-chi * P) / (N**psi * (share * S) ** omega)
        + theta * lam * 2 ** (-mu * P) / (N**nu * ((1 - share) * S) ** xi * (share * S) ** rho)
    )
    assert PHASES(N, D, weights=P, qat_share=share) == pytest.approx(printed, rel=1e-12)
    assert PHASES(N, D, qat_share=share) == 0
    with pytest.raises(ValueError, match=r"qat_share must be in \(0, 1\)"):
        PHASES(N, D, weights=P, qat_share=1.0)
    with pytest.raises(ValueError, match="needs qat_share="):
        PHASES(N, D, weights=P)


# -- mixed widths ----------------------------------------------------------------------------------------------------


def test_mixed_widths_as_printed():
    law = MixedDegradation(C=1.3, a=2.0, gamma_N=0.3, gamma_G=0.2, d=10.0)
    printed = 1.3 * np.exp(2.0 * 0.7) * 1e9**-0.3 * (64 + 10.0) ** 0.2
    assert law(1e9, 1e11, post=4, quantized_share=0.7, block=64) == pytest.approx(printed, rel=1e-13)
    assert law(1e9, 1e11, post=4, quantized_share=0.0, block=64) == 0
    with pytest.raises(ValueError, match="would cost nothing"):  # the form knows no width
        plan(
            published.EPOCH_2024 | law,
            compute=1e21,
            choices=[Choice(post=4, context={"quantized_share": 0.5, "block": 64})],
        )


# -- all of them -----------------------------------------------------------------------------------------------------

_ASKED = {
    "repetition": (REPEATED, {"unique_tokens": 1e10}),
    "experts": (EXPERTS, {"experts": 8}),
    "phases": (published.EPOCH_2024 | PHASES, {"weights": 4.0, "qat_share": 0.2}),
}


@pytest.mark.parametrize("name", _ASKED)
def test_the_slope_in_tokens_is_that_of_finite_differences(name):
    law, inputs = _ASKED[name]
    x, h = np.log(3e11), 1e-4
    slope = law.evaluate(law.setting(1e9, Jet.exponential(x, 0), **inputs)).first[0]
    ends = [law(1e9, np.exp(x + s), **inputs) for s in (-h, h)]
    assert slope == pytest.approx((ends[1] - ends[0]) / (2 * h), rel=1e-6)


@pytest.mark.parametrize("name", _ASKED)
def test_text_and_back(name):
    law = _ASKED[name][0]
    assert Law.from_json(law.to_json()) == law


def test_the_words_of_the_command():
    found = form("chinchilla+experts+experts-data+repeated-tokens+mixed+phase")
    assert [p.title for p in found.parts][1:4] == ["Experts", "Experts(on D)", "RepeatedTokens(on D)"]
    assert found.parts[2] == Experts(on=Effective.D)
    assert laws.ExcessParameters() == form("excess-parameters")
