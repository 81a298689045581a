"""Plans against a brute force of their own: formulas and prices typed here, a grid in N and D, and 40 random settings.

Nothing of the planner or of the laws is called by the brute force, only constants are shared: Kumar's law with its
offsets and δ, and QuEST's with a factor for each scheme.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from precsim.laws.published import KUMAR_2024, QUEST_2025
from precsim.planning import B200, H100, Binding, Choice, plan

_PEAKS = {"H100": {16: 989.4e12, 8: 1978.9e12}, "B200": {16: 2250e12, 8: 4500e12, 4: 9000e12}}
_SCHEMES = {"W2A2": 0.1519, "W4A4": 0.6918, "W8A8": 1.0162}


def kumar(N, D, weights, activations, kv, post):
    """The paper's law: offsets inside the exponents, damage of rounding to fewer bits than trained."""
    f = 1.0
    for bits, gamma, n in ((weights, 2.6745, 0.3037), (activations, 2.2102, 1.4072), (kv, 0.9578, 2.4185)):
        if np.isfinite(bits):
            share = 1 - np.exp(n - bits / gamma)
            if share <= 0:
                return np.full(np.shape(N), np.inf)
            f = f * share
    loss = 2.7648 + 4299.0 * (N * f) ** -0.4965 + 18060.0 * D**-0.4965
    if post < weights:
        loss = loss + 0.0598 * np.exp(1.1277 - post / 0.5907) * D**0.5068 / (N * f) ** 0.3439
    return loss


def quest(N, D, scheme):
    """QuEST's law: one factor for each scheme."""
    return 0.0014 + 8.134 * (N * _SCHEMES.get(scheme, 1.0)) ** -0.0627 + 86.41 * D**-0.2413


def price(bits, machine):
    """Cost of a FLOP: P/16, or the time of the narrowest width the device has that holds the operands."""
    if machine is None:
        return bits / 16
    peak = _PEAKS[machine]
    return peak[16] / peak[min(p for p in peak if p >= bits)]


@dataclass(frozen=True)
class Case:
    """One random setting: the planner's arguments, and the same as plain numbers."""

    options: dict
    flops: float
    machine: str | None
    memory: float
    cache: float
    served: float
    parameters: float | None
    most_tokens: float
    choices: tuple[Choice, ...]


def case(seed: int) -> Case:
    """The setting number `seed`: every limit and price is drawn, most are off."""
    rng = np.random.default_rng(seed)
    machine = [None, "H100", "B200"][rng.integers(3)]
    flops = 10 ** rng.uniform(20, 25)
    options: dict = {"hardware": {None: None, "H100": H100, "B200": B200}[machine]}
    kind = "compute" if machine is None else ["compute", "hours", "dollars"][rng.integers(3)]
    if kind == "compute":
        options["compute"] = flops
    else:
        rate = _PEAKS[machine][16] * 0.4 * 3600
        options |= (
            {"hours": flops / rate} if kind == "hours" else {"dollars": 2 * flops / rate, "dollars_per_hour": 2.0}
        )
    memory = 10 ** rng.uniform(9, 11.5) if rng.random() < 0.4 else np.inf
    cache = 10 ** rng.uniform(7, 8.5) if rng.random() < 0.6 else 0.0
    served = 10 ** rng.uniform(10, 13) if rng.random() < 0.4 else 0.0
    parameters = 10 ** rng.uniform(8, 9.5) if rng.random() < 0.3 else None
    most = 10 ** rng.uniform(10, 12) if rng.random() < 0.3 else np.inf
    if rng.random() < 0.2:
        choices = (*(Choice(w, w, context={"scheme": f"W{w}A{w}"}) for w in (2, 4, 8)), Choice())
    else:
        widths = rng.choice([4, 5, 6, 8, 12, 16, np.inf], size=(3, 3))
        posts = rng.choice([3, 4, 6, 8, np.inf, np.inf], size=3)
        choices = tuple(Choice(*map(float, w), float(p)) for w, p in zip(widths, posts, strict=True))
        choices = tuple(dict.fromkeys(choices))
    if np.isfinite(memory):
        options |= {"memory": memory, "kv_bytes": cache}
    options |= {"served_tokens": served, "parameters": parameters, "max_tokens": most}
    return Case(options | {"choices": choices}, flops, machine, memory, cache, served, parameters, most, choices)


def brute(c: Case, choice: Choice) -> tuple[float, float]:
    """(least loss, share of the allowed tokens that it reads) on a grid in N and D that zooms in eleven times."""
    b = choice.bits
    train = price(min(max(b["weights"], b["activations"]), 16), c.machine)
    serving = min(b["weights"], b["post"], 16)
    serve = price(max(serving, min(b["activations"], 16)), c.machine)
    largest = np.inf if np.isinf(c.memory) else 8 * max(c.memory - c.cache * min(b["kv"], 16) / 16, 0) / serving
    largest = min(largest, c.flops / (6 * train + 2 * c.served * serve))
    if (c.parameters or 1) > largest:
        return np.inf, 1.0
    low, high = (np.log(c.parameters),) * 2 if c.parameters else (0.0, np.log(largest))
    left, right, down, up = low, high, np.log(1e-9), 0.0
    least, share = np.inf, 1.0
    for _ in range(11):
        x, y = np.linspace(left, right, 101 if right > left else 1), np.linspace(down, up, 101)
        N, part = np.meshgrid(np.exp(x), np.exp(y), indexing="ij")
        N = np.minimum(N, np.exp(high))
        most = np.minimum((c.flops - 2 * N * c.served * serve) / (6 * N * train), c.most_tokens)
        D = most * part
        D = np.where(D >= 1 - 1e-9, np.maximum(D, 1.0), np.nan)
        scheme = choice.context.get("scheme")
        quest_law = any("scheme" in other.context for other in c.choices)
        loss = quest(N, D, scheme) if quest_law else kumar(N, D, **b)
        loss = np.where(np.isfinite(loss), loss, np.inf)
        i, j = np.unravel_index(np.argmin(loss), loss.shape)
        if loss[i, j] < least:
            least, share = float(loss[i, j]), float(part[i, j])
        dx, dy = (right - left) / 10, (up - down) / 10
        left, right = max(low, x[i] - dx), min(high, x[i] + dx)
        down, up = y[j] - dy, min(0.0, y[j] + dy)
    return least, share


@pytest.mark.parametrize("seed", range(40))
def test_a_plan_equals_brute_force_in_a_random_setting(seed):
    c = case(seed)
    law = QUEST_2025 if any("scheme" in choice.context for choice in c.choices) else KUMAR_2024
    expected = {choice.label: brute(c, choice) for choice in c.choices}
    if not any(np.isfinite(loss) for loss, _ in expected.values()):
        with pytest.raises(ValueError, match="no choice can be planned"):
            plan(law, **c.options)
        return
    found = plan(law, **c.options)
    assert {o.choice.label for o in found.options} == {
        label for label, (loss, _) in expected.items() if np.isfinite(loss)
    }
    for option in found.options:
        loss, share = expected[option.choice.label]
        assert option.loss <= loss + 1e-9 * loss
        assert option.loss == pytest.approx(loss, rel=2e-7)  # the grid's last step is 1e-5 of an e-fold or less
        assert option.flops <= c.flops * (1 + 1e-9)
        assert option.D <= c.most_tokens * (1 + 1e-12)
        if share < 0.9:  # the best point is inside the budget
            assert option.flops < 0.95 * c.flops or np.isfinite(c.most_tokens)
    assert found.loss == min(o.loss for o in found.options)


def test_the_random_settings_have_best_points_inside_the_budget():
    """The forty settings are no forty times the easy case."""
    inside, kinds = 0, set()
    for seed in range(40):
        c = case(seed)
        inside += any(brute(c, choice)[1] < 0.9 for choice in c.choices)
        kinds |= {name for name, value in c.options.items() if value not in (None, 0.0, np.inf)}
    assert inside >= 5
    assert kinds >= {"compute", "hours", "dollars", "memory", "kv_bytes", "served_tokens", "parameters", "max_tokens"}


# -- inside the budget -----------------------------------------------------------------------------------------------


def test_least_loss_within_a_budget_does_not_spend_it_all():
    """8 billion parameters, served at 3 bits, 1e24 FLOP: 5.363 at the budget line, 3.022 at 3.6e10 tokens."""
    found = plan(KUMAR_2024, compute=1e24, parameters=8e9, choices=[Choice(post=3)])
    assert found.D == pytest.approx(3.6e10, rel=0.01)
    assert found.loss == pytest.approx(3.022, abs=5e-4)
    assert kumar(8e9, 1e24 / (6 * 8e9), np.inf, np.inf, np.inf, 3) == pytest.approx(5.363, abs=5e-4)
    assert found.binding is Binding.DAMAGE
    assert found.spent == pytest.approx(6 * 8e9 * found.D / 1e24, rel=1e-12)


def test_regrets_are_measured_from_the_best_point_inside_the_budget():
    choices = [Choice(post=3), Choice(post=4), Choice()]
    found = plan(KUMAR_2024, compute=1e24, parameters=8e9, choices=choices)
    three, four, full = found.options
    for option, post in ((three, 3), (four, 4)):
        D = np.geomspace(1e9, 1e14, 200_001)
        D = D[D <= 1e24 / (6 * 8e9)]
        least = kumar(8e9, D, np.inf, np.inf, np.inf, post).min()
        assert option.regret == pytest.approx(least - full.loss, abs=1e-9)
    assert three.extra_compute == np.inf  # no number of tokens makes up for three bits


@pytest.mark.parametrize(("share", "binding"), [(0.9, Binding.DAMAGE), (1.1, Binding.PARAMETERS)])
def test_damage_binds_as_soon_as_some_tokens_are_left_unread(share, binding):
    """The budget buys 1/share of the tokens after which 3 bits lose more than they gain, at a given size."""
    best = plan(KUMAR_2024, compute=1e24, parameters=8e9, choices=[Choice(post=3)]).D
    found = plan(KUMAR_2024, compute=6 * 8e9 * best / share, parameters=8e9, choices=[Choice(post=3)])
    assert found.binding is binding
    assert found.D == pytest.approx(min(best, best / share), rel=1e-5)


def test_a_cache_of_fewer_bits_leaves_room_for_more_parameters():
    """8 (memory − cache · bits/16) / bits of the weights, where the memory is what binds."""
    choices = [Choice(8, 8, kv) for kv in (4, 8, 16, np.inf)]
    found = plan(KUMAR_2024, compute=1e26, memory=2e9, kv_bytes=1e9, choices=choices)
    assert [o.N for o in found.options] == pytest.approx([1.75e9, 1.5e9, 1e9, 1e9], rel=1e-9)
    assert found.binding is Binding.PARAMETERS


def test_the_flat_range_ends_where_the_least_loss_is_the_best_and_the_tolerance():
    from precsim.laws import Chinchilla

    law = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)
    for tolerance in (0.001, 0.02):
        found = plan(law, compute=1e21, tolerance=tolerance, choices=[Choice()])
        for N in found.sizes:  # on a grid of 2,001 sizes: one step of it is at most 2.5 %
            over = [float(law(N * x, 1e21 / (6 * N * x))) - found.loss for x in (1 / 1.025, 1.0, 1.025)]
            assert over[1] <= tolerance < max(over)


# -- regret in money -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "ratio"), [(4, 2.22), (6, 1.04), (8, 1.02), (16, 1.70)])
def test_the_regret_in_money_of_the_papers_law(bits, ratio):
    found = plan(KUMAR_2024, compute=1e23)
    option = next(o for o in found.options if o.choice.bits["weights"] == bits)
    assert 1 + option.extra_compute == pytest.approx(ratio, abs=0.005)


def test_more_money_buys_the_best_loss():
    """At the budget that a choice is said to need, its own plan has the loss of the best one: the definition."""
    found = plan(KUMAR_2024, compute=1e23, served_tokens=1e12)
    for option in found.options:
        alone = plan(KUMAR_2024, compute=1e23 * (1 + option.extra_compute), served_tokens=1e12, choices=[option.choice])
        assert alone.loss == pytest.approx(found.loss, rel=1e-10)


def test_regret_in_money_has_a_closed_form():
    """One base and a constant factor: L − E ∝ (p C)^(−αβ/(α+β)) f^(−αβ/(α+β)), so C₂/C₁ = (p₂/f₂)/(p₁/f₁)."""
    found = plan(KUMAR_2024, compute=1e22, choices=[Choice.tied(7), Choice.tied(12)])
    share = lambda P: 1.0 / np.prod([1 - np.exp(n - P / g) for g, n in _FACTORS])  # noqa: E731
    expected = (12 * share(12)) / (7 * share(7))
    assert 1 + found.options[1].extra_compute == pytest.approx(expected, rel=1e-8)


_FACTORS = ((2.6745, 0.3037), (2.2102, 1.4072), (0.9578, 2.4185))


# -- outside the runs ------------------------------------------------------------------------------------------------


def test_a_plan_far_outside_its_runs_is_marked_with_the_factor():
    found = plan(KUMAR_2024, compute=1e23)
    assert found.extrapolation == pytest.approx({"N": found.N / 220e6, "D": found.D / 26e9})
    inside = plan(KUMAR_2024, compute=1e19)
    assert inside.extrapolation == {}
    assert plan(KUMAR_2024, compute=1e23, reach=1e3).extrapolation == {}


def test_one_token_is_no_plan_without_a_mark():
    """A law that says nothing of D is planned with one token: marked, even where its runs are not known."""
    from precsim.laws import Chinchilla

    found = plan(Chinchilla(E=1.0, A=400.0, B=0.0, alpha=0.3, beta=0.3), compute=1e20)
    assert found.D == pytest.approx(1.0, rel=1e-6)
    assert found.runs is None
    assert found.extrapolation["D/N"] > 1e10


def test_a_table_of_runs_says_where_a_law_was_learned():
    runs = {"N": [1e6, 1e7], "D": [1e8, 1e9]}
    found = plan(KUMAR_2024, compute=1e19, runs=runs, reach=2)
    assert found.runs.N == (1e6, 1e7)
    assert found.extrapolation["N"] == pytest.approx(found.N / 1e7)
    with pytest.raises(ValueError, match="needs the columns N and D"):
        plan(KUMAR_2024, compute=1e19, runs={"N": [1.0]})
