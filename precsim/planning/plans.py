"""What to train with a budget: parameters, tokens and widths of least predicted loss, and how flat the choice is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from precsim.fitting.uncertainty import Draws
from precsim.laws.law import Law
from precsim.laws.published import CATALOG
from precsim.laws.region import SANE, Region
from precsim.planning.budget import Budget, Choice, PriceByBits
from precsim.planning.hardware import A100, B200, H100, H200, HARDWARE, MI300X, TPU_V5P, Hardware
from precsim.planning.inputs import Unread, default_choices, held, refusal, unseen
from precsim.planning.result import Binding, Option, Plan
from precsim.planning.search import Lanes, least_budget, least_loss, may_turn

__all__ = [
    "A100",
    "B200",
    "H100",
    "H200",
    "HARDWARE",
    "MI300X",
    "TPU_V5P",
    "Binding",
    "Budget",
    "Choice",
    "Hardware",
    "Option",
    "Plan",
    "PriceByBits",
    "Unread",
    "cheapest",
    "plan",
]

_WIDTHS = (3, 4, 5, 6, 7, 8, 12, 16)


def plan(
    law: Law | Draws,
    *,
    compute: float | None = None,
    hours: float | None = None,
    dollars: float | None = None,
    dollars_per_hour: float | None = None,
    hardware: Hardware | None = None,
    memory: float | None = None,
    kv_bytes: float = 0.0,
    served_tokens: float = 0.0,
    max_tokens: float = np.inf,
    parameters: float | None = None,
    smallest: float = 1.0,
    choices: Iterable[Choice] | None = None,
    unread: Unread = Unread.HELD,
    runs: Any = None,
    reach: float = 10.0,
    level: float = 0.95,
    tolerance: float = 1e-3,
) -> Plan:
    """The (N, D, widths) of least predicted loss within the budget, with the regret of every other choice.

    Parameters
    ----------
    law : Law or Draws
        With a base; draws give every number an interval.
    compute : float
        Budget in FLOPs at 16 bits. Alternatively `hours` of one `hardware` device at its utilization, or `dollars`
        at `dollars_per_hour`.
    hardware : Hardware, optional
        What a narrow FLOP costs on a real device, where a width it lacks saves nothing. Without it the paper's
        price holds: C = 6·N·D·P/16.
    memory : float, optional
        Bytes that the served weights, and the KV cache if `kv_bytes` is given, may take.
    kv_bytes : float
        Bytes of the KV cache at 16 bits (`precsim.planning.serving.kv_bytes`); at fewer bits it takes less of `memory`.
    served_tokens : float
        Tokens to be served over the model's life, 2N FLOPs each, paid from the same budget.
    max_tokens : float
        Size of the data set, read once. A law that knows repetition reads ``unique_tokens`` in the choices' context.
    parameters : float, optional
        A fixed model: choose only widths and D.
    smallest : float
        Fewest parameters to consider.
    choices : iterable of Choice, optional
        By default all tensors that the law reads at 3, 4, 5, 6, 7, 8, 12 or 16 bits; for a law of schemes, those
        whose names say their bits.
    unread : Unread
        By default a tensor that the law does not read stays at 16 bits, and a choice that gives it fewer is refused;
        `Unread.FREE` lets it have them, at no loss.
    runs : table of runs or Region, optional
        The runs behind the law, whose range says what is an extrapolation; known for published laws.
    reach : float
        Factor outside the runs, in N, D or D/N, beyond which an option is marked as an extrapolation.
    level : float
        Of the intervals.
    tolerance : float
        Loss difference that does not matter [nats/token].

    Returns
    -------
    Plan
        Within the budget: where more data would hurt a model that is quantized afterwards, compute is left over.

    Raises
    ------
    ValueError
        If the law has no base, there is not exactly one budget, it is below the smallest model, or no choice has a
        prediction; the message says for each choice why.

    References
    ----------
    kumar2024, section 4.3; sardana2024 for served tokens.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> best = plan(KUMAR_2024, compute=1e23).best
    >>> f"{best.choice.label} N={best.N:.3g} D={best.D:.3g} L={best.loss:.5f}"
    'W7A7KV7 N=5.34e+10 D=7.13e+11 L=2.81187'

    An 8-billion model that is served at 3 bits is best stopped long before the budget is spent:

    >>> served = plan(KUMAR_2024, compute=1e24, parameters=8e9, choices=[Choice(post=3)])
    >>> f"D={served.D:.2g} L={served.loss:.3f}, {served.spent:.2%} of the budget"
    'D=3.6e+10 L=3.022, 0.17% of the budget'
    """
    point = law.form if isinstance(law, Draws) else law
    if point.base is None:
        raise ValueError(f"{point.label} predicts an added loss only: a plan needs a law with a base")
    if point.free:
        raise ValueError(f"{', '.join(point.free)} have no value yet: fit the law first, or pass numbers")
    flops = _flops(compute, hours, dollars, dollars_per_hour, hardware)
    for name, x in (
        ("served_tokens", served_tokens),
        ("max_tokens", max_tokens),
        ("memory", memory),
        ("parameters", parameters),
        ("kv_bytes", kv_bytes),
        ("smallest", smallest),
    ):
        if x is not None and (np.isnan(x) or x < 0 or (name not in ("served_tokens", "kv_bytes") and x == 0)):
            raise ValueError(f"{name} must be positive, got {x}")
    if kv_bytes and memory is None:
        raise ValueError(f"kv_bytes take their part of memory, which is not given: got {kv_bytes:g} without memory")
    if not reach >= 1:
        raise ValueError(f"reach must be 1 or more, got {reach}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be 0 or more, got {tolerance}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    asked = tuple(choices) if choices is not None else default_choices(point, _WIDTHS)
    budget = Budget(flops=flops, machine=hardware or PriceByBits(), served_tokens=served_tokens, max_tokens=max_tokens)
    rows, refused = [], {}
    for place, choice in enumerate(asked):
        why, ends = _limits(point, choice, budget, memory, kv_bytes, parameters, smallest, unread)
        if why:
            refused[choice.label] = why
        else:
            rows.append(_Row(place, choice, *ends))
    found: dict[int, tuple[_Row, float, float, float]] = {}
    for group in _groups(point, rows):
        lanes = Lanes.of(point, {}, *_columns(group, budget))
        for row, N, D, loss in zip(group, *least_loss(lanes, flops), strict=True):
            if np.isfinite(loss):
                found[row.place] = (row, float(N), float(D), float(loss))
            else:
                refused[row.choice.label] = "the law has no prediction there: a factor is not positive at these widths"
    if not found:
        reasons: dict[str, list[str]] = {}
        for label, why in refused.items():
            reasons.setdefault(why, []).append(label)
        raise ValueError("no choice can be planned: " + "; ".join(f"{', '.join(v)}: {k}" for k, v in reasons.items()))
    region = _region(point, runs)
    ordered = [found[place] for place in sorted(found)]
    options = _options(law, budget, ordered, region or SANE, level)
    first = int(np.argmin([option.loss for option in options]))
    best, row = options[first], ordered[first][0]
    return Plan(
        best=best,
        options=options,
        binding=_binding(budget, best, row),
        near=tuple(o.choice for o in options if o.regret <= tolerance),
        sizes=_flat_range(point, budget, best, row, tolerance),
        tolerance=tolerance,
        refused=refused,
        budget=budget,
        unseen=unseen(point, [o.choice for o in options]),
        held=tuple(n for n in held(point) if n not in unseen(point, [o.choice for o in options])),
        runs=region,
        reach=reach,
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """A choice by its place among those asked for, because labels may be equal, with its fewest and most parameters."""

    place: int
    choice: Choice
    low: float
    high: float


def _limits(
    law, choice, budget, memory, kv_bytes, parameters, smallest, unread
) -> tuple[str | None, tuple[float, float]]:
    """(why the choice cannot be planned or None, fewest and most parameters)."""
    least, none = parameters or smallest, (0.0, 0.0)
    if why := refusal(law, choice, unread):
        return why, none
    if memory is not None and choice.stored is None:
        return (
            "memory holds all experts, and the law knows the active parameters only; say with expert_share= which "
            "share of them one expert holds (2/3 in a standard block), or leave memory out"
        ), none
    cache = kv_bytes * min(choice.bits["kv"], 16.0) / 16
    each = 0.0 if memory is None else choice.serving / 8 * choice.stored  # bytes in memory for an active parameter
    most = np.inf if memory is None else max(memory - cache, 0.0) / each
    if memory is not None and least > most:
        beside = f" and a cache of {cache:.3g} B" if cache else ""
        need = least * each + cache
        narrower = 8 * (memory - cache) / least / choice.stored
        fits = f"{most:.3g} parameters, {narrower:.2g} bits or" if most else "a smaller cache or"
        return (
            f"{least:g} parameters at {choice.serving:g} bits{beside} need more than {memory:g} B, "
            f"{need / memory:.3g} times as much; {fits} {need:.3g} B would fit"
        ), none
    try:
        train, serve = budget.prices(choice)
        with np.errstate(all="ignore"):
            law(least, 1.0, **choice.inputs)
    except ValueError as error:
        return str(error), none
    one = 6 * train + 2 * budget.served_tokens * serve  # what a parameter costs, with one token of training
    if budget.flops < least * one:
        serving = " and serving" if budget.served_tokens else ""
        fewer = f"; {least * one / budget.flops:.3g} times the budget or {budget.flops / one:.3g} parameters would do"
        if parameters:
            return f"{budget.flops:g} FLOP leave no token for {parameters:g} parameters{fewer}", none
        model = "one parameter" if smallest == 1 else f"{smallest:g} parameters"
        return (
            f"{budget.flops:g} FLOP are less than the smallest model of {model} needs for a token of training{serving}"
            f"{fewer}"
        ), none
    return None, (least, parameters or most)


def _groups(law: Law, rows: Iterable[_Row]) -> list[list[_Row]]:
    """Choices that can be searched together: they name the same inputs, and more data may hurt all of them or none."""
    kind = lambda row: (may_turn(law, row.choice), *sorted(row.choice.context))  # noqa: E731
    return [list(group) for _, group in itertools.groupby(sorted(rows, key=kind), key=kind)]


def _columns(rows: Sequence[_Row], budget: Budget) -> tuple[list[Choice], Budget, list[float], list[float]]:
    return [row.choice for row in rows], budget, [row.low for row in rows], [row.high for row in rows]


def _region(law: Law, runs: Any) -> Region | None:
    """Where the law was learned: as given, or as known of a published law."""
    if runs is None:
        return next((entry.runs for entry in CATALOG if entry.law == law), None)
    return runs if isinstance(runs, Region) else Region.of(runs)


def _flops(compute, hours, dollars, dollars_per_hour, hardware) -> float:
    given = {k: x for k, x in (("compute", compute), ("hours", hours), ("dollars", dollars)) if x is not None}
    if len(given) != 1:
        raise ValueError(f"give exactly one of compute, hours and dollars; got {', '.join(given) or 'none'}")
    ((name, amount),) = given.items()
    if not 0 < amount < math.inf:  # Python's comparison: an integer may be longer than NumPy's
        raise ValueError(f"{name} must be positive and finite, got {amount}")
    if dollars is None and dollars_per_hour is not None:
        raise ValueError(f"dollars_per_hour is the price of dollars, which are not given: got {dollars_per_hour:g}")
    if compute is not None:
        return float(compute)
    if hardware is None:
        raise ValueError(f"{name} needs hardware=, whose speed turns time into FLOPs")
    if dollars is not None:
        if dollars_per_hour is None or not dollars_per_hour > 0:
            raise ValueError(f"dollars needs dollars_per_hour > 0, got {dollars_per_hour}")
        amount = dollars / dollars_per_hour
    return float(amount * 3600 * hardware.rate(16.0) * hardware.utilization)


def _options(law: Law | Draws, budget: Budget, found, region: Region, level: float) -> tuple[Option, ...]:
    least = min(loss for *_, loss in found)
    point = law.form if isinstance(law, Draws) else law
    needed = {row.place: budget.flops for row, *_, loss in found if loss == least}
    for group in _groups(point, [row for row, *_, loss in found if loss > least]):
        budgets = least_budget(Lanes.of(point, {}, *_columns(group, budget)), least, budget.flops)
        needed |= {row.place: float(flops) for row, flops in zip(group, budgets, strict=True)}
    spread = _intervals(law, budget, found, level) if isinstance(law, Draws) else {}
    return tuple(
        Option(
            choice=row.choice,
            N=N,
            D=D,
            loss=loss,
            regret=loss - least,
            extra_compute=max(needed[row.place] / budget.flops - 1, 0.0),
            flops=float(budget.cost(N, D, row.choice)),
            beyond=region.beyond(N, D),
            **spread.get(row.place, {}),
        )
        for row, N, D, loss in found
    )


def _intervals(draws: Draws, budget: Budget, found, level: float) -> dict[int, dict[str, tuple[float, float]]]:
    """Intervals of loss, regret and extra compute of every choice, each draw planning for itself."""
    searched: list[tuple[list[_Row], Lanes, np.ndarray]] = []
    losses: dict[int, np.ndarray] = {}
    sizes = {row.place: N for row, N, *_ in found}
    for group in _groups(draws.form, [row for row, *_ in found]):
        lanes = Lanes.of(draws.form, draws.values, *_columns(group, budget))
        near = np.repeat([sizes[row.place] for row in group], len(draws))
        N, _, rows = least_loss(lanes, budget.flops, near)
        searched.append((group, lanes, N))
        losses |= {row.place: each for row, each in zip(group, rows.reshape(len(group), len(draws)), strict=True)}
    least = np.min(list(losses.values()), axis=0)
    extra: dict[int, np.ndarray] = {}
    for group, lanes, N in searched:
        flops = least_budget(lanes, np.tile(least, len(group)), budget.flops, N, accuracy=1e-6)
        more = np.maximum(flops / budget.flops - 1, 0.0).reshape(len(group), len(draws))
        extra |= {row.place: np.where(losses[row.place] == least, 0.0, x) for row, x in zip(group, more, strict=True)}
    tail = 50 * (1 - level)

    def bounds(x):
        low, high = np.percentile(x, [tail, 100 - tail], method="linear" if np.isfinite(x).all() else "lower")
        return float(low), float(high)

    with np.errstate(invalid="ignore"):  # a draw in which no choice has a prediction has no regret
        return {
            k: {"loss_interval": bounds(x), "regret_interval": bounds(x - least), "extra_interval": bounds(extra[k])}
            for k, x in losses.items()
        }


def _binding(budget: Budget, best: Option, row: _Row) -> Binding:
    allowed = min(float(budget.tokens(best.N, best.choice)), budget.max_tokens)
    if best.D < allowed * (1 - 1e-6):
        return Binding.DAMAGE
    short = best.D >= budget.max_tokens * (1 - 1e-6)
    small = best.N >= row.high * (1 - 1e-6) or best.N <= row.low * (1 + 1e-6)
    left_over = budget.tokens(best.N, best.choice) > best.D * (1 + 1e-6)
    if small and short and left_over:
        return Binding.NOTHING
    return Binding.PARAMETERS if small else Binding.TOKENS if short else Binding.COMPUTE


def _flat_range(law: Law, budget: Budget, best: Option, row: _Row, tolerance: float) -> tuple[float, float]:
    """Range of N around the best over which the least loss stays within the tolerance."""
    lanes = Lanes.of(law, {}, *_columns([row], budget))
    per_parameter = np.dot((6, 2 * budget.served_tokens), budget.prices(row.choice))  # with one token of training
    low, high = row.low, min(row.high, budget.flops / per_parameter)
    if low >= high:
        return best.N, best.N
    grid = np.geomspace(low, high, 2001)
    lane = np.zeros(grid.size, dtype=int)
    tokens = lanes.tokens(grid, np.array([budget.flops]), lane)
    inside = np.flatnonzero(lanes.loss(grid, tokens, lane) <= best.loss + tolerance)
    if inside.size == 0:
        return best.N, best.N
    return float(min(grid[inside[0]], best.N)), float(max(grid[inside[-1]], best.N))


def cheapest(
    law: Law,
    *,
    loss: float,
    served_tokens: float = 0.0,
    choice: Choice | None = None,
    machine: Hardware | PriceByBits | None = None,
) -> tuple[float, float, float]:
    """(N, D, FLOPs) of least cost 6·N·D + 2·N·(served tokens) that reaches a loss.

    Parameters
    ----------
    law : Law
    loss : float
        [nats/token], above the law's limit for infinite data.
    served_tokens : float
    choice : Choice, optional
        Unquantized by default.
    machine : Hardware or PriceByBits, optional
        Price of narrow FLOPs.

    Raises
    ------
    ValueError
        If no N and D reach the loss, or the law cannot price the choice.

    References
    ----------
    sardana2024, equation 4.

    Examples
    --------
    >>> from precsim.laws.published import SARDANA_2024
    >>> N, D, flops = cheapest(SARDANA_2024, loss=2.0, served_tokens=1e12)
    >>> bool(abs(SARDANA_2024(N, D) - 2.0) < 1e-9)
    True
    """
    choice = choice or Choice()
    if law.base is None:
        raise ValueError(f"{law.label} predicts an added loss only: a price needs a law with a base")
    if why := refusal(law, choice, Unread.HELD):
        raise ValueError(f"{choice.label}: {why}")
    budget = Budget(flops=1e21, machine=machine or PriceByBits(), served_tokens=served_tokens)
    lanes = Lanes.of(law, {}, [choice], budget, [1.0], [1e20])
    flops = least_budget(lanes, loss, budget.flops)
    if not np.isfinite(flops[0]):
        raise ValueError(f"no model reaches a loss of {loss:g} under this law")
    N, D, _ = least_loss(lanes, flops)
    return float(N[0]), float(D[0]), float(flops[0])
