"""Laws with symbols in them: optima, exponents, critical tokens and limits as formulas, checked against numbers.

The formulas are not typed again: `law` puts SymPy symbols into the same law object that fits and plans use. The
submodules derive more: `equations` (those of the paper, with the misprints), `widths` (the best number of bits),
`roundoff` (errors of rounding), `truncation` (sums that are cut), `propagation` (errors on their way), `largest` (the
weight that sets the scale), `tails` (the same where tails are heavy), `teacher` (the linear model whose every loss has
a closed form) and `emergence` (how a gap in training follows from the damage of rounding). Their closed forms are ends
of derivations: `derivation("teacher.loss").steps` has each step, its SymPy call and what came out.
"""

from precsim.symbolic import emergence, equations, largest, propagation, roundoff, tails, teacher, truncation, widths
from precsim.symbolic.forms import (
    C,
    D,
    N,
    P,
    P_post,
    best_bits,
    check,
    critical_tokens,
    exponents,
    law,
    limits,
    optimum,
    stationarity,
    symbol,
    to_latex,
    to_numpy,
    to_tree,
    to_vega,
)
from precsim.symbolic.index import DERIVATIONS, derivation
from precsim.symbolic.steps import Derivation, Step

__all__ = [
    "DERIVATIONS",
    "C",
    "D",
    "Derivation",
    "N",
    "P",
    "P_post",
    "Step",
    "best_bits",
    "check",
    "critical_tokens",
    "derivation",
    "emergence",
    "equations",
    "exponents",
    "largest",
    "law",
    "limits",
    "optimum",
    "propagation",
    "roundoff",
    "stationarity",
    "symbol",
    "tails",
    "teacher",
    "to_latex",
    "to_numpy",
    "to_tree",
    "to_vega",
    "truncation",
    "widths",
]
