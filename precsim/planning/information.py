"""What runs would tell about a law before they are made: their information, and the intervals that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from precsim.fitting.uncertainty import Draws
from precsim.laws.law import Law
from precsim.planning.budget import Choice


@dataclass(frozen=True, slots=True)
class Cell:
    """One possible run: N parameters, D tokens, widths."""

    N: float
    D: float
    choice: Choice = field(default_factory=Choice)

    @property
    def flops(self) -> float:
        """Training cost 6·N·D; simulated precision costs what full precision costs."""
        return 6.0 * self.N * self.D


def candidates(N: Iterable[float], D: Iterable[float], choices: Iterable[Choice] = (Choice(),)) -> tuple[Cell, ...]:
    """Every combination of sizes, lengths and widths.

    Examples
    --------
    >>> len(candidates([1e6, 1e7], [1e8, 1e9], [Choice(), Choice.tied(4)]))
    8
    """
    choices = tuple(choices)
    D = tuple(D)
    return tuple(Cell(float(n), float(d), c) for n in N for d in D for c in choices)


def gradients(law: Law, names: Sequence[str], cells: Sequence[Cell]) -> np.ndarray:
    """∂ln L/∂θ at every cell, shape (cells, p); θ is ln p for positive parameters."""
    bits = {b: np.array([c.choice.bits[b] for c in cells]) for b in ("weights", "activations", "kv", "post")}
    N, D = np.array([c.N for c in cells]), np.array([c.D for c in cells])
    with np.errstate(all="ignore"):
        value = np.broadcast_to(law(N, D, **bits), N.shape)
        slope = law.gradient(N, D, **bits)
        unit = {n: law.parameters[n] if law.describe(n)["positive"] else 1.0 for n in names}
        return np.column_stack([slope[n] * unit[n] / value for n in names])


def target_gradients(law: Law, names: Sequence[str], targets) -> np.ndarray:
    """∂target/∂θ by central differences, shape (targets, p)."""
    step = 1e-4  # truncation 1e-8 relative, rounding of a searched optimum 1e-8 / 1e-4
    out = np.empty((len(targets), len(names)))
    for j, name in enumerate(names):
        value = law.parameters[name]
        moved = [value * np.exp(s) if law.describe(name)["positive"] else value + s for s in (step, -step)]
        for i, target in enumerate(targets):
            up, down = (float(target(law.replace(**{name: x}))) for x in moved)
            out[i, j] = (up - down) / (2 * step)
    return out


def names_of(law: Law, fixed: Iterable[str]) -> tuple[str, ...]:
    """The parameters a design is about: all but the given ones, the offset b and a base without a floor."""
    fixed = set(fixed) | {"b"}
    return tuple(n for n, v in law.parameters.items() if n not in fixed and not (n == "E" and v == 0.0))


def expected(
    law: Law,
    cells: Sequence[Cell],
    *,
    noise: float,
    repeats: Sequence[int] | None = None,
    fixed: Iterable[str] = (),
    targets: Sequence[Callable[[Law], float]] = (),
):
    """(half-widths by parameter, half-widths by target) of 95 % intervals that these runs would give.

    Parameters
    ----------
    law : Law
        Assumed to be the truth.
    cells : sequence of Cell
    noise : float
        Standard deviation of ln L between repeated runs.
    repeats : sequence of int, optional
    fixed : iterable of str
        Parameters that are known.
    targets : sequence of callables
        Law → float.

    Returns
    -------
    dict of str to float, tuple of float
        Relative half-width for a positive parameter; inf where the runs do not determine it.
    """
    names = names_of(law, fixed)
    G = gradients(law, names, cells) / noise
    counts = np.ones(len(cells)) if repeats is None else np.asarray(repeats, dtype=float)
    M = (G.T * counts) @ G
    return half_widths(M, names, target_gradients(law, names, targets))


def expected_draws(
    law: Law,
    cells: Sequence[Cell],
    *,
    noise: float,
    n: int,
    rng: np.random.Generator,
    fixed: Iterable[str] = (),
) -> Draws:
    """Laws that a table of these runs could not tell from `law`: normal draws with the covariance of its information.

    What a study's runs determine can be drawn without its runs, from its list of cells and its noise. The draws are
    of ln p for positive parameters, and assume that the form is true.

    Parameters
    ----------
    law : Law
        Assumed to be the truth. A degradation alone speaks of ln δ.
    cells : sequence of Cell
    noise : float
        Standard deviation of ln L (ln δ) between repeated runs.
    n : int
    rng : numpy.random.Generator
    fixed : iterable of str
        Parameters that are known.

    Raises
    ------
    ValueError
        If the cells do not determine every parameter.

    Examples
    --------
    >>> from precsim.laws import KumarDegradation
    >>> law = KumarDegradation(C_T=0.06, gamma_D=0.5, gamma_N=0.34, gamma_post=0.59)
    >>> cells = candidates([1e6, 1e7], [1e8, 1e9], [Choice(post=3), Choice(post=4)])
    >>> draws = expected_draws(law, cells, noise=0.05, n=500, rng=np.random.default_rng(1))
    >>> bool(abs(draws.values["gamma_D"].mean() - 0.5) < 0.01)
    True
    """
    names = names_of(law, fixed)
    G = gradients(law, names, cells) / noise
    widths, _ = half_widths(G.T @ G, names, np.empty((0, len(names))))
    if np.isinf(next(iter(widths.values()))):
        raise ValueError(f"these {len(cells)} cells do not determine {', '.join(names)} separately: fix some")
    values, vectors = np.linalg.eigh(G.T @ G)
    steps = (rng.standard_normal((n, len(names))) / np.sqrt(values)) @ vectors.T
    out = {}
    for i, name in enumerate(names):
        value = law.parameters[name]
        out[name] = value * np.exp(steps[:, i]) if law.describe(name)["positive"] else value + steps[:, i]
    return Draws(law, out)


def half_widths(M, names, T):
    """Half of the 95 % interval of every parameter and of every target, from an information matrix; inf if singular."""
    size = np.sqrt(np.maximum(np.diag(M), 1e-300))
    scaled = M / np.outer(size, size)
    if np.linalg.eigvalsh(scaled)[0] < 1e-13:
        return dict.fromkeys(names, np.inf), (np.inf,) * len(T)
    V = np.linalg.inv(scaled) / np.outer(size, size)
    z = NormalDist().inv_cdf(0.975)
    half = z * np.sqrt(np.diag(V))
    return dict(zip(names, map(float, half), strict=True)), tuple(float(z * np.sqrt(t @ V @ t)) for t in T)


def information(law: Law, names, cells, noise) -> np.ndarray:
    """Fisher information of the named parameters in these cells, shape (names, names)."""
    if not cells:
        return np.zeros((len(names), len(names)))
    G = gradients(law, names, cells) / noise
    return G.T @ G
