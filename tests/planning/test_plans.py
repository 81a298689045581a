"""Plans against reference answers, a brute-force grid, closed forms and limits."""

import math

import numpy as np
import pytest

from precsim import laws
from precsim.fitting import Draws
from precsim.laws import WEIGHTS, published
from precsim.planning import A100, H100, HARDWARE, Binding, Budget, Choice, Unread, cheapest, plan
from precsim.planning.serving import LLAMA3_8B, tokens_per_second

LAW = published.KUMAR_2024
MIXTURE = published.LUDZIEJEWSKI_2025


def _option(answer, P):
    return next(o for o in answer.options if o.choice.bits["weights"] == P)


@pytest.mark.parametrize(
    ("P", "N", "D", "loss"),
    [
        (16, 3.05e10, 5.46e11, 2.81853),
        (8, 4.73e10, 7.05e11, 2.81213),
        (7, 5.34e10, 7.13e11, 2.81187),
        (4, 1.39e11, 4.79e11, 2.82215),
    ],
)
def test_reference_answers_at_1e23(P, N, D, loss):
    found = _option(plan(LAW, compute=1e23), P)
    assert found.N == pytest.approx(N, rel=2e-3)  # the references have three digits of N and D
    assert found.D == pytest.approx(D, rel=2e-3)
    assert found.loss == pytest.approx(loss, abs=5e-6)
    assert 6 * found.N * found.D * P / 16 == pytest.approx(1e23, rel=1e-12)


def test_seven_bits_win_and_the_choice_is_flat():
    answer = plan(LAW, compute=1e23)
    assert answer.choice == Choice.tied(7)
    assert answer.binding is Binding.COMPUTE
    assert [c.bits["weights"] for c in answer.near] == [6, 7, 8]
    assert _option(answer, 12).regret == pytest.approx(3.3e-3, abs=1e-4)
    assert answer.sizes[0] < answer.N < answer.sizes[1]
    assert answer.refused["W3A3KV3"].startswith("the law has no prediction")


@pytest.mark.parametrize("compute", [1e19, 1e23, 1e27])
def test_best_width_does_not_depend_on_compute(compute):
    fine = [Choice.tied(P) for P in np.arange(6.0, 8.01, 0.25)]
    assert plan(LAW, compute=compute, choices=fine).choice == Choice.tied(7.0)


def test_sixteen_bits_give_eighteen_tokens_for_each_parameter():
    found = _option(plan(LAW, compute=1e23), 16)
    f = laws.tied_factor(LAW, 16.0)
    base = LAW.base
    assert found.D / found.N == pytest.approx((base.B / base.A) ** (1 / base.alpha) * f, rel=1e-6)
    assert (base.B / base.A) ** (1 / base.alpha) == pytest.approx(18.0, abs=0.05)


def test_plan_is_the_minimum_of_a_brute_force_grid():
    law = laws.OuterExponent(E=1.3, A=1.5e5, B=5e5, alpha=0.589, beta=0.544, g=0.274) | laws.Drifting(
        laws.Saturating(WEIGHTS, c=3.0, gamma=1.2), drift_D=0.08, drift_N=0.1
    )
    answer = plan(law, compute=1e22, choices=[Choice(weights=4)])
    N = np.geomspace(1e6, 1e13, 200_001)
    brute = law(N, 1e22 / (6 * N), weights=4)  # weights alone narrow: the wider operand sets the price
    assert answer.loss <= brute.min() + 1e-12
    assert answer.N == pytest.approx(N[np.argmin(brute)], rel=1e-3)


def test_chinchilla_closed_form():
    law = published.HOFFMANN_2022
    answer = plan(law, compute=1e24, choices=[Choice()])
    N, D = law.optimum(1e24)
    assert answer.N == pytest.approx(N, rel=1e-6)  # √ε: a minimum found from values of the loss
    assert answer.D == pytest.approx(D, rel=1e-6)


def test_sardana_thirteen_b_quality_and_two_trillion_served():
    law = published.SARDANA_2024
    C = 6 * (13e9 / law.optimum(6.0)[0]) ** ((law.alpha + law.beta) / law.beta)
    N0, D0 = law.optimum(C)
    assert N0 == pytest.approx(13e9)
    N, D, flops = cheapest(law, loss=law(N0, D0), served_tokens=2e12)
    before = 6 * N0 * D0 + 2 * N0 * 2e12
    assert N == pytest.approx(6.97e9, rel=1e-3)
    assert D == pytest.approx(1.25e12, rel=3e-3)
    assert before - flops == pytest.approx(1.69e22, rel=3e-3)
    assert 1 - flops / before == pytest.approx(0.174, abs=5e-4)


def test_rounded_exponents_change_the_served_plan():
    law = laws.Chinchilla(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
    C = 6 * (13e9 / law.optimum(6.0)[0]) ** ((law.alpha + law.beta) / law.beta)
    N0, D0 = law.optimum(C)
    N, _, flops = cheapest(law, loss=law(N0, D0), served_tokens=2e12)
    assert N == pytest.approx(8.0e9, rel=0.02)
    assert 1 - flops / (6 * N0 * D0 + 2 * N0 * 2e12) == pytest.approx(0.10, abs=0.01)


def test_served_tokens_shrink_the_model():
    sizes = [plan(LAW, compute=1e23, served_tokens=t, choices=[Choice()]).N for t in (0.0, 1e11, 1e12, 1e13)]
    assert (np.diff(sizes) < 0).all()


def test_loss_falls_with_the_budget():
    losses = [plan(LAW, compute=c).loss for c in np.geomspace(1e19, 1e26, 8)]
    assert (np.diff(losses) < 0).all()


def test_where_the_data_set_ends_the_compute_to_equal_the_best_is_the_closed_form():
    """All D is read, so equal loss is equal f·N: P bits cost P/f(P) over that of the best. The minimum is a kink."""
    law = laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37) | laws.Saturating(WEIGHTS, c=1.0, gamma=2.0)
    answer = plan(law, compute=1e23, max_tokens=1e10, choices=[Choice(p, p) for p in (3, 4, 6, 8)], unread=Unread.FREE)
    assert [o.D for o in answer.options] == pytest.approx([1e10] * 4, rel=1e-6)
    price = np.array([o.choice.width * o.N / law.n_eff(o.N, o.D, **o.choice.bits) for o in answer.options])
    assert [o.extra_compute for o in answer.options] == pytest.approx(price / price.min() - 1, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("N", "P"), [(8e9, 13.5), (70e9, 10.5), (405e9, 8.2)])
def test_fixed_models_at_fifteen_trillion_tokens(N, P):
    """Paper, claim 8: at fixed N the best width grows with log D; values with offsets from paper.md."""
    fine = [Choice.tied(p) for p in np.arange(5.0, 20.0, 0.1)]
    best_at = lambda compute: plan(LAW, compute=compute, parameters=N, choices=fine)  # noqa: E731
    low, high = 1e22, 1e26  # the compute at which the best plan reads 15e12 tokens
    for _ in range(24):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if best_at(middle).D < 15e12 else (low, middle)
    answer = best_at(high)
    assert answer.binding is Binding.PARAMETERS
    assert answer.choice.bits["weights"] == pytest.approx(P, abs=0.1)


def test_memory_and_data_limits_bind():
    small = plan(LAW, compute=1e23, memory=10e9, choices=[Choice.tied(8)])
    assert small.binding is Binding.PARAMETERS
    assert small.N == pytest.approx(10e9, rel=1e-5)
    assert plan(LAW, compute=1e23, memory=10e9, choices=[Choice.tied(8, post=6)]).N == pytest.approx(80e9 / 6, rel=1e-5)
    scarce = plan(LAW, compute=1e23, max_tokens=1e11, choices=[Choice.tied(8)])
    assert scarce.binding is Binding.TOKENS
    assert scarce.D == pytest.approx(1e11)
    both = plan(LAW, compute=1e23, max_tokens=1e10, memory=1e9, choices=[Choice.tied(8)])
    assert both.binding is Binding.NOTHING


@pytest.mark.parametrize(("experts", "share", "stored"), [(8, 2 / 3, 17 / 3), (2, 1.0, 2.0), (1, None, 1.0)])
def test_memory_holds_all_experts(experts, share, stored):
    """E experts of a share s beside what every token uses: 2 N ((1 - s) + E s) bytes at 16 bits."""
    choice = Choice(context={"experts": experts}, expert_share=share)
    found = plan(MIXTURE, compute=1e24, memory=4e9, choices=[choice])
    assert found.binding is Binding.PARAMETERS
    assert found.N == pytest.approx(2e9 / stored, rel=1e-5)


def test_a_mixture_of_unknown_share_is_refused_under_a_memory_and_planned_without():
    choice = Choice(context={"experts": 8})
    assert plan(MIXTURE, compute=1e22, choices=[choice]).N > 0
    with pytest.raises(ValueError, match=r"memory holds all experts.*expert_share="):
        plan(MIXTURE, compute=1e22, memory=4e9, choices=[choice])
    for share in (0.0, 1.5, math.nan):
        with pytest.raises(ValueError, match="expert_share is a share"):
            Choice(context={"experts": 8}, expert_share=share)
    with pytest.raises(ValueError, match="of a mixture of experts"):
        Choice(expert_share=0.5)


def test_a_law_that_wants_no_parameters_says_so():
    """With A = 0 the best model is the smallest one: that is a limit, not a balance."""
    found = plan(LAW.replace(A=0.0), compute=1e22, smallest=1e6, choices=[Choice.tied(8)])
    assert found.N == pytest.approx(1e6, rel=1e-6)
    assert found.binding is Binding.PARAMETERS


def test_overtrained_model_stops_at_its_critical_tokens():
    """A fixed small model to be quantized: more tokens than D_crit are not worth having."""
    critical = laws.critical_tokens(LAW, 8e9, 4)
    D = np.geomspace(critical / 100, critical * 100, 4001)
    assert D[np.argmin(LAW(8e9, D, post=4))] == pytest.approx(critical, rel=3e-3)


def test_hardware_saves_only_what_it_multiplies():
    on_h100 = plan(LAW, compute=1e23, hardware=H100)
    by_width = {o.choice.bits["weights"]: o for o in on_h100.options}
    assert H100.price(7) == H100.price(8) == pytest.approx(0.5, abs=1e-4)
    assert H100.price(4) == H100.price(8)
    assert by_width[8].loss < by_width[7].loss < by_width[4].loss  # narrower than 8 bits costs loss and saves nothing
    assert on_h100.choice == Choice.tied(8)
    assert H100.price(12) == 1.0


def test_hours_and_dollars_are_compute():
    by_hours = plan(LAW, hours=1000, hardware=H100)
    assert by_hours.budget.flops == 1000 * 3600 * H100.peak[16] * H100.utilization
    assert plan(LAW, dollars=2000, dollars_per_hour=2.0, hardware=H100).best == by_hours.best


@pytest.mark.parametrize("machine", HARDWARE.values(), ids=lambda h: h.name)
def test_hardware_table_is_sane(machine):
    assert machine.source
    ratio = machine.peak[8] / machine.peak[16]
    assert 1 < ratio < 2 if "measured" in machine.name else ratio == pytest.approx(2.0, rel=1e-3)
    assert 1e10 < machine.memory < 1e12
    assert 1e12 < machine.bandwidth < 1e13


def test_draws_give_intervals_quickly(rng):
    """1,000 draws, eight choices: the bar is a second; here only that every number has its interval."""
    values = {n: v * np.exp(0.02 * rng.standard_normal(1000)) for n, v in LAW.parameters.items() if n != "b"}
    answer = plan(Draws(LAW, values), compute=1e23)
    for option in answer.options:
        assert option.loss_interval[0] < option.loss < option.loss_interval[1]
        assert option.regret_interval[0] <= option.regret_interval[1]
    alone = plan(Draws(LAW, {"A": np.full(3, LAW.A)}), compute=1e23)
    for option in alone.options:
        assert option.loss_interval == pytest.approx((option.loss, option.loss), rel=1e-12)


def test_intervals_of_regret_and_of_compute_are_those_of_plans_made_draw_by_draw(rng):
    """Of twelve draws, each planned alone as a law of its own: the ends over all of them, and over the middle ten."""
    values = {n: v * np.exp(0.05 * rng.standard_normal(12)) for n, v in LAW.parameters.items() if n != "b"}
    budget = {
        "compute": 1e22,
        "served_tokens": 1e11,
        "choices": [Choice.tied(p) for p in (5, 8, 16)] + [Choice(post=4)],
    }
    alone = [plan(LAW.replace(**{n: v[k] for n, v in values.items()}), **budget).options for k in range(12)]
    for level, (first, last) in ((1 - 1e-12, (0, 11)), (9 / 11, (1, 10))):
        for k, option in enumerate(plan(Draws(LAW, values), level=level, **budget).options):
            for found, one in ((option.extra_interval, "extra_compute"), (option.regret_interval, "regret")):
                ordered = sorted(getattr(each[k], one) for each in alone)
                assert found == pytest.approx((ordered[first], ordered[last]), rel=1e-5, abs=1e-9)


def test_a_served_token_is_priced_at_the_width_at_which_it_is_multiplied():
    """Narrow weights beside activations of 16 bits are multiplied at 16: the price and the speed agree."""
    budget = Budget(flops=1e20, machine=H100, served_tokens=1e12)
    eight = H100.price(8)
    for choice, price in ((Choice(post=4), 1), (Choice(16, 8, post=4), eight), (Choice.tied(8), eight), (Choice(8), 1)):
        assert budget.prices(choice)[1] == price
        fast = tokens_per_second(LLAMA3_8B, H100, choice, sequences=4096, context=1e-6)
        assert fast == pytest.approx(H100.rate(16) / price / (2 * LLAMA3_8B.N))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of compute, hours and dollars; got none"),
        ({"compute": 1e20, "hours": 3.0}, "got compute, hours"),
        ({"compute": 0.5}, "less than the smallest model"),
        ({"compute": -1.0}, "compute must be positive"),
        ({"hours": 3.0}, "needs hardware="),
        ({"dollars": 3.0, "hardware": H100}, "needs dollars_per_hour"),
        ({"compute": 1e20, "parameters": 1e25}, "leave no token"),
        ({"compute": 1e20, "parameters": 1e10, "memory": 1e6, "choices": [Choice.tied(8)]}, "need more than"),
        ({"compute": 1e20, "choices": [Choice.tied(3)]}, "not positive at these widths"),
        ({"compute": 1e20, "hardware": A100, "max_tokens": -1}, "max_tokens must be positive"),
        ({"compute": 1e20, "reach": 0.5}, "reach must be 1 or more, got 0.5"),
        ({"compute": 1e20, "tolerance": -1e-3}, "tolerance must be 0 or more"),
        ({"compute": 1e20, "tolerance": float("nan")}, "tolerance must be 0 or more"),
        ({"compute": 1e20, "level": 95}, "level must be between 0 and 1, got 95"),
    ],
)
def test_bad_plans(options, message):
    with pytest.raises(ValueError, match=message):
        plan(LAW, **options)


def test_hardware_without_the_format():
    with pytest.raises(ValueError, match=r"H100 SXM has no products of 32-bit operands; it has 8, 16 bits"):
        H100.rate(32)


def test_loss_out_of_reach():
    with pytest.raises(ValueError, match="no model reaches"):
        cheapest(published.HOFFMANN_2022, loss=1.5)


def test_two_choices_of_one_label_are_two_choices():
    """16 bits and unquantized share the label W16A16KV16, not the loss."""
    found = plan(LAW, compute=1e23, choices=[Choice.tied(16), Choice()])
    assert len(found.options) == 2
    assert found.options[0].loss > found.options[1].loss
    assert found.choice == Choice()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": 1e10, "memory": 2e9}, r"5 times as much; 2e\+09 parameters, 1.6 bits or 1e\+10 B would fit"),
        ({"parameters": 1e10, "memory": 1e9, "kv_bytes": 4e9}, r"12 times as much; a smaller cache or 1.2e\+10 B"),
        ({"parameters": 1e25}, r"30 times the budget or 3.33e\+23 parameters would do"),
        ({"smallest": 1e25}, r"30 times the budget or 3.33e\+23 parameters would do"),
    ],
)
def test_what_does_not_fit_says_by_how_much_and_what_would(options, message):
    with pytest.raises(ValueError, match=message):
        plan(LAW, compute=1e24, choices=[Choice.tied(8)], **options)


def test_a_budget_may_be_an_integer_of_any_length():
    assert plan(LAW, compute=10**21).choice == plan(LAW, compute=1e21).choice
    with pytest.raises(ValueError, match="compute must be positive and finite"):
        plan(LAW, compute=-(10**21))
