"""A law written down for the browser: as text for charts with sliders, as trees for the explorer.

No other module of the views asks `precsim.symbolic`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from precsim.laws.degradation import RobustDegradation
from precsim.laws.law import Factor, Law
from precsim.laws.setting import Tensor

if TYPE_CHECKING:
    from precsim.symbolic.browser import Tree

_TENSORS = (Tensor.WEIGHTS, Tensor.ACTIVATIONS, Tensor.KV)


def _symbolic() -> ModuleType:
    """`precsim.symbolic`, and with it SymPy, when a formula is first asked for: half a second that most charts save."""
    from precsim import symbolic

    return symbolic


def python_of(law: Law) -> str:
    """The law as an expression in Python, with every constant; `laws` in it is `precsim.laws`.

    Examples
    --------
    >>> from precsim.laws import WEIGHTS, Chinchilla, Saturating
    >>> python_of(Chinchilla(E=1.5, A=4, B=8, alpha=0.5, beta=0.25) | Saturating(WEIGHTS, c=6, gamma=2))
    'laws.Chinchilla(E=1.5, A=4, B=8, alpha=0.5, beta=0.25) | laws.Saturating(tensor=laws.WEIGHTS, c=6, gamma=2)'
    """
    printed = re.sub(r"<Tensor\.(\w+): [^>]*>", r"laws.\1", repr(law))
    printed = printed.replace(", on=<Effective.N: 'N'>", "")  # the default
    printed = re.sub(r"<(\w+)\.(\w+): [^>]*>", r"laws.\1.\2", printed)
    return re.sub(r"(?<![\w.])([A-Z]\w+)\(", r"laws.\1(", printed)


def at(formula: str, **names: str) -> str:
    """A formula with other expressions in the places of its symbols N, D, P.

    Examples
    --------
    >>> at("N*pow(P, 2)", N="pow(10, log_N)", P="bits")
    '(pow(10, log_N))*pow((bits), 2)'
    """
    return re.sub(r"\b[NDP]\b", lambda m: f"({names[m[0]]})", formula)


def loss_formula(law: Law, **bits: float | str) -> str:
    """The law in Vega's language, in N, D and P; a width is a number, or "P" where the chart sets it.

    Raises
    ------
    ValueError
        If a parameter has no value.

    Examples
    --------
    >>> from precsim.laws import Chinchilla
    >>> loss_formula(Chinchilla(E=1.5, A=400.0, B=800.0, alpha=0.5, beta=0.25))
    '800.0*pow(D, -0.25) + 400.0*pow(N, -0.5) + 1.5'
    """
    s = _symbolic()
    if law.free:
        raise ValueError(f"{', '.join(law.free)} have no value yet: fit the law first")
    return s.to_vega(law(s.N, s.D, **{name: s.P if width == "P" else width for name, width in bits.items()}))


def share_formulas(law: Law, *tensors: str) -> list[str]:
    """N_eff/N with these tensors at P bits, then each factor of its own, in Vega's language.

    The sign of each factor says whether the law has a prediction: two that are negative have a positive product.

    Examples
    --------
    >>> from precsim.laws import Plain, Tensor
    >>> share_formulas(Plain(Tensor.WEIGHTS, gamma=2.0), "weights")
    ['1 - exp(-0.5*P)', '1 - exp(-0.5*P)']
    """
    s = _symbolic()
    setting = law.setting(s.N, s.D, **{name: s.P for name in tensors})
    own = (part.factor(setting) for part in law.factors)
    return [s.to_vega(law.effective(setting)[0] / s.N), *(s.to_vega(f) for f in own if f is not None)]


def trees(law: Law) -> dict[str, Any]:
    """Base, factors and degradation of a law as trees, each written once and with names for its parameters.

    The symbols are N, D, N_eff, D_eff, P (bits of the factor's tensor), P_post and the parameters; `values` has the
    parameters under the same names.

    Raises
    ------
    ValueError
        If the law has no base, parameters without a value, or a part that reads more than one tensor's bits.
    """
    s = _symbolic()
    if law.base is None:
        raise ValueError(f"the explorer needs a law with a base, got {law.label}")
    if law.free:
        raise ValueError(f"{', '.join(law.free)} have no value yet: fit the law first")
    for part in law.parts:
        own = getattr(getattr(part, "inner", part), "tensor", None)
        if part in law.factors and own not in _TENSORS:
            raise ValueError(f"{part.title} does not read the bits of one of weights, activations and kv")
        if part in law.degradations and (own is not None or isinstance(part, RobustDegradation) or not part.paired):
            raise ValueError(f"{part.title} reads more than the bits after training; leave it out for the explorer")
    form = s.law(law)
    core: Any = form.base
    n, d = s.symbol("N_eff"), s.symbol("D_eff")
    trained = form.setting(s.N, s.D, weights=s.P, activations=s.P, kv=s.P)
    served = form.setting(s.N, s.D, post=s.P_post)
    added = [part.added(served, n) for part in form.degradations]
    return {
        "base": s.to_tree(core.loss(n, d)),
        "factors": [_factor(part, s.to_tree(part.factor(trained))) for part in form.factors],
        "drifts": any(hasattr(part, "inner") for part in law.factors),
        "degradation": s.to_tree(sum(added[1:], added[0])) if added else None,
        "values": numbers(law.parameters),
    }


def _factor(part: Factor, tree: Tree) -> dict[str, Tree]:
    """What the script needs of one factor: the tensor whose bits it reads, what it multiplies, its formula."""
    return {"tensor": getattr(part, "inner", part).tensor.value, "on": part.on.value, "tree": tree}


def numbers(parameters: Mapping[str, ArrayLike]) -> dict[str, float | list[float]]:
    """Parameters by the names of their symbols, as plain numbers or lists.

    Examples
    --------
    >>> numbers({"E": 1.5, "alpha": np.array([0.25, 0.5])})
    {'E_inf': 1.5, 'alpha': [0.25, 0.5]}
    """
    s = _symbolic()
    return {str(s.symbol(name)): np.asarray(value, dtype=float).tolist() for name, value in parameters.items()}
