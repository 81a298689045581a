"""What the paper says, and what its constants say: each statement beside the number that each printed form gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from precsim.laws.law import Law
from precsim.laws.optima import best_bits, critical_tokens, tied_factor
from precsim.laws.published import KUMAR_2024, KUMAR_2024_MAIN_TEXT


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a paper and the quantity of its law that it is about.

    Attributes
    ----------
    claim : str
        In our words.
    where : str
        Section, figure or equation.
    printed : str
        The number or the comparison that the paper prints, or "" where it does neither.
    value : callable
        Law → float; NaN where the form has no value.
    holds : callable, optional
        Whether a value is what is printed; None where nothing is that a value could be held against. A threshold of
        ours would be chosen after the value.
    unit : str
    """

    claim: str
    where: str
    printed: str
    value: Callable[[Law], float]
    holds: Callable[[float], bool] | None
    unit: str = ""


def matched_loss(law: Law, bits: float, *, N: float = 4.4e8, D: float = 16e9) -> float:
    """Loss at `bits` of the model whose N·P equals that of N parameters at 16 bits, D tokens [nats/token].

    Examples
    --------
    >>> round(matched_loss(KUMAR_2024, 8), 3)
    3.091
    """
    size = N * 16 / bits
    return float(law(size, D, weights=bits, activations=bits, kv=bits))


def fixed_best_bits(law: Law, N: float, D: float) -> float:
    """P that is best for a model of N parameters whose best plan reads D tokens, at the price 6·N·D·P/16 [bits].

    On a grid of 0.05 bits, where the compute is the one at which the best width leaves D tokens.

    Examples
    --------
    >>> round(fixed_best_bits(KUMAR_2024, 405e9, 15e12), 1)
    8.2
    """
    P = np.arange(1.0, 24.0, 0.05)

    def at(compute):
        tokens = compute * 16 / (6 * N * P)
        with np.errstate(all="ignore"):
            loss = np.asarray(law(N, tokens, weights=P, activations=P, kv=P), dtype=float)
        i = int(np.nanargmin(loss))
        return P[i], tokens[i]

    low, high = 6 * N * D / 16, 6 * N * D * 2
    for _ in range(40):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if at(middle)[1] < D else (low, middle)
    return float(at(high)[0])


def data_hurts(law: Law, N: float, bits: float) -> float:
    """Tokens beyond which more training hurts a model quantized to `bits` afterwards."""
    return float(critical_tokens(law, N, bits))


def _fewer_bits(law: Law, small: float, large: float) -> float:
    """How many bits fewer the larger of two fixed models wants at 15T tokens."""
    return fixed_best_bits(law, small, 15e12) - fixed_best_bits(law, large, 15e12)


#: The statements of "Scaling Laws for Precision" that its law can be asked about.
KUMAR: tuple[Statement, ...] = (
    Statement(
        "best common width, all of N, D and P free",
        "section 4.3, finding",
        "7-8 bits",
        lambda law: float(best_bits(law)),
        lambda v: round(v) in (7, 8),
        "bits",
    ),
    Statement(
        "4-bit training costs more than 4 times the parameters",
        "section 4.3",
        "> 4",
        lambda law: float(1 / tied_factor(law, 4.0)),
        lambda v: v > 4,
        "N/N_eff",
    ),
    Statement(
        "3-bit activations diverge and are left out",
        "section 2.3",
        "no value",
        lambda law: float(law.n_eff(1.0, activations=3.0)),
        lambda v: not v > 0,
        "N_eff/N",
    ),
    Statement(
        "KV cache insensitive until 4-5 bits",
        "figure 3",
        "",
        lambda law: float(law.n_eff(1.0, kv=5.0)),
        None,
        "N_eff/N at 5 bits",
    ),
    Statement(
        "gains of weights saturate at 6-7 bits",
        "figure 3",
        "",
        lambda law: float(law.n_eff(1.0, weights=7.0)),
        None,
        "N_eff/N at 7 bits",
    ),
    Statement(
        "compute-matched: 8 bits beat 4",
        "figures 1 and 6",
        "3.009 and 3.198 (floats)",
        lambda law: matched_loss(law, 4.0) - matched_loss(law, 8.0),
        lambda v: v > 0,
        "nats/token",
    ),
    Statement(
        "compute-matched: 8 bits beat 16",
        "figures 1 and 6",
        "3.009 and 3.057 (floats)",
        lambda law: matched_loss(law, 16.0) - matched_loss(law, 8.0),
        lambda v: v > 0,
        "nats/token",
    ),
    Statement(
        "twice the parameters at 8 bits beat 16 bits",
        "footnote 3",
        "a comparison",
        lambda law: (
            float(law(1e9, 2e10, weights=16, activations=16, kv=16))
            - float(law(2e9, 2e10, weights=8, activations=8, kv=8))
        ),
        lambda v: v > 0,
        "nats/token",
    ),
    Statement(
        "a fixed model wants the more bits the smaller: 8B, 70B, 405B at 15T tokens",
        "figure 6, right",
        "an order",
        lambda law: min(_fewer_bits(law, 8e9, 70e9), _fewer_bits(law, 70e9, 405e9)),
        lambda v: v > 0,
        "bits, least step",
    ),
    Statement(
        "best bits of a fixed model of 8B",
        "figure 6, right",
        "",
        lambda law: fixed_best_bits(law, 8e9, 15e12),
        None,
        "bits",
    ),
    Statement("of 70B", "figure 6, right", "", lambda law: fixed_best_bits(law, 70e9, 15e12), None, "bits"),
    Statement(
        "of 405B",
        "figure 6, right",
        "",
        lambda law: fixed_best_bits(law, 405e9, 15e12),
        None,
        "bits",
    ),
    Statement(
        "30M served at 3 bits turns up within 26B tokens",
        "figure 1, left",
        "an upturn",
        lambda law: data_hurts(law, 30e6, 3.0),
        lambda v: v < 26e9,
        "tokens",
    ),
    Statement(
        "8B served at 4 bits: critical tokens",
        "equation 13",
        "",
        lambda law: data_hurts(law, 8e9, 4.0),
        None,
        "tokens",
    ),
    Statement(
        "tokens per parameter of the compute-optimal full-precision model",
        "appendix K, table 2",
        "",
        lambda law: float((law.parameters["B"] / law.parameters["A"]) ** (1 / law.parameters["alpha"])),
        None,
        "D/N",
    ),
)


def table(statements: tuple[Statement, ...] = KUMAR) -> list[dict[str, object]]:
    """Each statement with its value under the fitted form and under the form of the main text.

    Examples
    --------
    >>> rows = table()
    >>> rows[0]["fitted form"], rows[0]["holds"], rows[0]["main-text form"], rows[0]["main text holds"]
    ('7.002', True, '3.469', False)
    """
    rows = []
    for s in statements:
        values = [_value(s, law) for law in (KUMAR_2024, KUMAR_2024_MAIN_TEXT)]
        rows.append(
            {
                "claim": s.claim,
                "where": s.where,
                "printed": s.printed,
                "unit": s.unit,
                "fitted form": _text(values[0]),
                "holds": None if s.holds is None else bool(s.holds(values[0])),
                "main-text form": _text(values[1]),
                "main text holds": None if s.holds is None else bool(s.holds(values[1])),
            }
        )
    return rows


def _value(s: Statement, law: Law) -> float:
    with np.errstate(all="ignore"):
        return float(s.value(law))


def _text(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.4g}"
