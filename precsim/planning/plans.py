"""What to train with a budget: parameters, tokens and widths of least predicted loss, and how flat the choice is."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from precsim.fitting.uncertainty import Draws
from precsim.laws.law import Law
from precsim.planning.budget import Budget, Choice, PriceByBits
from precsim.planning.hardware import A100, B200, H100, H200, HARDWARE, MI300X, TPU_V5P, Hardware
from precsim.planning.result import Binding, Option, Plan, unseen

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
    "cheapest",
    "flat_range",
    "loss_at",
    "minimize",
    "plan",
    "size_range",
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
    level: float = 0.95,
    tolerance: float = 1e-3,
) -> Plan:
    """The (N, D, widths) of least predicted loss within the budget, with the regret of every other choice.

    Parameters
    ----------
    law : Law or Draws
        Draws give every number an interval.
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
        Size of the data set.
    parameters : float, optional
        A fixed model: choose only widths and D.
    smallest : float
        Fewest parameters to consider.
    choices : iterable of Choice, optional
        By default all tensors at 3, 4, 5, 6, 7, 8, 12 or 16 bits.
    level : float
        Of the intervals.
    tolerance : float
        Loss difference that does not matter [nats/token].

    Raises
    ------
    ValueError
        If there is not exactly one budget, or it is below the smallest model, or no choice has a prediction; the
        message says for each choice why.

    References
    ----------
    kumar2024, section 4.3; sardana2024 for served tokens.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> best = plan(KUMAR_2024, compute=1e23)
    >>> f"{best.choice.label} N={best.N:.3g} D={best.D:.3g} L={best.loss:.5f}"
    'W7A7KV7 N=5.34e+10 D=7.13e+11 L=2.81187'
    """
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
    choices = tuple(choices) if choices is not None else tuple(Choice.tied(P) for P in _WIDTHS)
    budget = Budget(flops=flops, machine=hardware or PriceByBits(), served_tokens=served_tokens, max_tokens=max_tokens)
    point = law.form if isinstance(law, Draws) else law
    found, refused = [], {}
    for choice in choices:
        cache = kv_bytes * min(choice.bits["kv"], 16.0) / 16
        most = np.inf if memory is None else 8 * max(memory - cache, 0.0) / choice.serving
        if (parameters or smallest) > most:
            refused[choice.label] = (
                f"{parameters or smallest:g} parameters at {choice.serving:g} bits"
                + (f" and a cache of {cache:.3g} B" if cache else "")
                + f" need more than {memory:g} B"
            )
            continue
        try:
            low, high = size_range(budget, choice, most, parameters, smallest)
        except ValueError as error:
            refused[choice.label] = str(error)
            continue
        N, loss = minimize(lambda n, c=choice: loss_at(point, n, budget, c), low, high)
        if np.isfinite(loss):
            found.append((choice, float(N), float(loss), low, high))
        else:
            refused[choice.label] = "the law has no prediction there: a factor is not positive at these widths"
    if not found:
        reasons: dict[str, list[str]] = {}
        for label, why in refused.items():
            reasons.setdefault(why, []).append(label)
        raise ValueError("no choice can be planned: " + "; ".join(f"{', '.join(v)}: {k}" for k, v in reasons.items()))
    options = _options(law, budget, found, level)
    best = min(options, key=lambda o: o.loss)
    low, high = next((a, b) for c, _, _, a, b in found if c is best.choice)
    sizes = flat_range(point, budget, best, low, high, tolerance)
    near = tuple(o.choice for o in options if o.regret <= tolerance)
    blind = unseen(point, [o.choice for o in options])
    return Plan(best, options, _binding(budget, best, high, parameters), near, sizes, tolerance, refused, budget, blind)


def _flops(compute, hours, dollars, dollars_per_hour, hardware) -> float:
    given = {k: x for k, x in (("compute", compute), ("hours", hours), ("dollars", dollars)) if x is not None}
    if len(given) != 1:
        raise ValueError(f"give exactly one of compute, hours and dollars; got {', '.join(given) or 'none'}")
    ((name, amount),) = given.items()
    if not amount > 0 or np.isinf(amount):
        raise ValueError(f"{name} must be positive and finite, got {amount}")
    if compute is not None:
        return float(compute)
    if hardware is None:
        raise ValueError(f"{name} needs hardware=, whose speed turns time into FLOPs")
    if dollars is not None:
        if dollars_per_hour is None or not dollars_per_hour > 0:
            raise ValueError(f"dollars needs dollars_per_hour > 0, got {dollars_per_hour}")
        amount = dollars / dollars_per_hour
    return float(amount * 3600 * hardware.rate(16.0) * hardware.utilization)


def _options(law, budget, found, level) -> tuple[Option, ...]:
    least = min(loss for _, _, loss, _, _ in found)
    plain = [(c, N, min(float(budget.tokens(N, c)), budget.max_tokens), loss) for c, N, loss, _, _ in found]
    if not isinstance(law, Draws):
        return tuple(Option(c, N, D, loss, loss - least) for c, N, D, loss in plain)
    stacked, rows = law.stacked, []
    for choice, N, _, low, high in found:
        start = (np.full(len(law), np.log(N) - 4.0), np.full(len(law), np.log(N) + 4.0))  # a factor of 50 either way
        rows.append(
            minimize(lambda n, c=choice: loss_at(stacked, n, budget, c), low, high, start)[1]
            if low < high
            else loss_at(stacked, N, budget, choice)
        )
    losses = np.array([np.broadcast_to(r, len(law)) for r in rows])
    regrets = losses - losses.min(0)
    tail = 50 * (1 - level)

    def bounds(x):
        low, high = np.percentile(x, [tail, 100 - tail], method="lower" if np.isinf(x).any() else "linear")
        return float(low), float(high)

    return tuple(
        Option(c, N, D, loss, loss - least, bounds(a), bounds(b))
        for (c, N, D, loss), a, b in zip(plain, losses, regrets, strict=True)
    )


def _binding(budget: Budget, best: Option, high: float, parameters) -> Binding:
    short = best.D >= budget.max_tokens * (1 - 1e-6)
    small = parameters is not None or best.N >= high * (1 - 1e-6)
    left_over = budget.tokens(best.N, best.choice) > best.D * (1 + 1e-6)
    if small and short and left_over:
        return Binding.NOTHING
    return Binding.PARAMETERS if small else Binding.TOKENS if short else Binding.COMPUTE


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
        If no N and D reach the loss.

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
    machine = machine or PriceByBits()
    train, serve = machine.price(choice.width), machine.price(min(choice.width, choice.serving))

    def tokens(N):  # least D that reaches the loss, by bisection in ln D; inf where none does
        left, right = np.zeros_like(N), np.full_like(N, np.log(1e30))
        reached = law(N, 1e30, **choice.bits) <= loss
        for _ in range(110):
            middle = 0.5 * (left + right)
            over = law(N, np.exp(middle), **choice.bits) > loss
            left, right = np.where(over, middle, left), np.where(over, right, middle)
        return np.where(reached, np.exp(right), np.inf)

    def cost(N):
        N = np.asarray(N, dtype=float)
        return 6 * N * tokens(N) * train + 2 * N * served_tokens * serve

    N, flops = minimize(cost, 1.0, 1e20)
    if not np.isfinite(flops):
        raise ValueError(f"no model reaches a loss of {loss:g} under this law")
    return float(N), float(tokens(np.asarray(N, dtype=float))), float(flops)


def size_range(
    budget: Budget, choice: Choice, most: float, parameters: float | None, smallest: float = 1.0
) -> tuple[float, float]:
    """Smallest and largest N worth looking at: from the smallest model to one whose budget leaves one token."""
    if parameters is not None:
        if budget.tokens(parameters, choice) < 1:
            raise ValueError(f"{budget.flops:g} FLOP leave no token for {parameters:g} parameters")
        return parameters, parameters
    train, serve = budget.machine.price(choice.width), budget.machine.price(min(choice.width, choice.serving))
    free = budget.flops / (6 * train)  # the largest N, with D = 1 token
    if budget.served_tokens:
        free = min(free, budget.flops / (2 * budget.served_tokens * serve) * (1 - 1e-9))
    high = min(free, most)
    if high < smallest:
        one = "one parameter" if smallest == 1 else f"{smallest:g} parameters"
        served = " and serving" if budget.served_tokens else ""
        raise ValueError(
            f"{budget.flops:g} FLOP are less than the smallest model of {one} needs for a token of training{served}"
        )
    return smallest, high


def loss_at(law: Law, N, budget: Budget, choice: Choice):
    """Loss at N with all the tokens that the budget leaves; inf where there are none or no prediction."""
    D = np.minimum(budget.tokens(N, choice), budget.max_tokens)
    with np.errstate(all="ignore"):
        out = law(N, np.where(D >= 1, D, 1.0), **choice.bits)
    return np.where((D >= 1) & np.isfinite(out), out, np.inf)


def minimize(fn, low, high, start=None):
    """Minimum over N in [low, high] on a logarithmic scale: a grid, then golden sections; for arrays of laws too."""
    a, b = np.log(low), np.log(high)
    if a == b:
        return np.exp(a), fn(np.exp(a))[()]
    if start is None:
        grid = np.linspace(a, b, 257)
        i = int(np.argmin(fn(np.exp(grid))))
        left, right = grid[max(i - 1, 0)], grid[min(i + 1, 256)]
    else:
        left, right = np.maximum(start[0], a), np.minimum(start[1], b)
    ratio = (np.sqrt(5.0) - 1) / 2
    x1, x2 = right - ratio * (right - left), left + ratio * (right - left)
    f1, f2 = fn(np.exp(x1)), fn(np.exp(x2))
    for _ in range(40):  # the bracket shrinks by 2e8: to the square root of the precision of the loss
        down = f1 < f2
        left, right = np.where(down, left, x1), np.where(down, x2, right)
        x1, x2 = right - ratio * (right - left), left + ratio * (right - left)
        f1, f2 = fn(np.exp(x1)), fn(np.exp(x2))
    middle = 0.5 * (left + right)
    return np.exp(middle)[()], np.asarray(fn(np.exp(middle)))[()]


def flat_range(law, budget, best, low, high, tolerance) -> tuple[float, float]:
    """Range of N around the best within the tolerance."""
    if low == high:
        return best.N, best.N
    grid = np.geomspace(low, high, 2001)
    inside = np.flatnonzero(loss_at(law, grid, budget, best.choice) <= best.loss + tolerance)
    if inside.size == 0:
        return best.N, best.N
    return float(min(grid[inside[0]], best.N)), float(max(grid[inside[-1]], best.N))
