"""Formulas of a law as nested lists, which the script of the explorer evaluates: no text is ever executed."""

from __future__ import annotations

from typing import Any

from precsim.laws import Law, RobustDegradation, Tensor

#: Operations that `modules/explorer.js` knows.
_OPERATIONS = {"Add": "+", "Mul": "*", "Pow": "^", "exp": "exp", "log": "log", "Max": "max"}
_TENSORS = (Tensor.WEIGHTS, Tensor.ACTIVATIONS, Tensor.KV)


def tree(expression: Any) -> Any:
    """A SymPy expression as numbers, names and lists [operation, argument, …].

    Raises
    ------
    ValueError
        If a function has no counterpart.

    Examples
    --------
    >>> from precsim import symbolic
    >>> tree(2 * symbolic.N ** -symbolic.symbol("alpha"))
    ['*', 2.0, ['^', 'N', ['*', -1.0, 'alpha']]]
    """
    if expression.is_Symbol:
        return str(expression)
    if expression.is_number and not expression.args:
        return float(expression)
    name = type(expression).__name__
    if name not in _OPERATIONS:
        raise ValueError(f"{name} has no counterpart in the explorer's script; it knows {', '.join(_OPERATIONS)}")
    return [_OPERATIONS[name], *map(tree, expression.args)]


def formulas(law: Law) -> dict[str, Any]:
    """Base, factors and degradation of a law as trees, each written once and with names for its parameters.

    The symbols are N, D, N_eff, D_eff, P (bits of the factor's tensor), P_post and the parameters; `values` has the
    parameters under the same names.

    Raises
    ------
    ValueError
        If the law has no base, parameters without a value, or a part that reads more than one tensor's bits.
    """
    from precsim import symbolic

    base = law.base
    if base is None:
        raise ValueError(f"the explorer needs a law with a base, got {law.label}")
    if law.free:
        raise ValueError(f"{', '.join(law.free)} have no value yet: fit the law first")
    for part in law.parts:
        own = getattr(getattr(part, "inner", part), "tensor", None)
        if part in law.factors and own not in _TENSORS:
            raise ValueError(f"{part.title} does not read the bits of one of weights, activations and kv")
        if part in law.degradations and (own is not None or isinstance(part, RobustDegradation) or not part.paired):
            raise ValueError(f"{part.title} reads more than the bits after training; leave it out for the explorer")
    s = symbolic.law(law)
    core: Any = s.base
    n, d = symbolic.symbol("N_eff"), symbolic.symbol("D_eff")
    at = s.setting(symbolic.N, symbolic.D, weights=symbolic.P, activations=symbolic.P, kv=symbolic.P)
    after = s.setting(symbolic.N, symbolic.D, post=symbolic.P_post)
    return {
        "base": tree(core.loss(n, d)),
        "factors": [
            {"tensor": getattr(part, "inner", part).tensor.value, "on": part.on.value, "tree": tree(part.factor(at))}
            for part in s.factors
        ],
        "drifts": any(hasattr(part, "inner") for part in law.factors),
        "degradation": tree(
            sum((part.added(after, n) for part in s.degradations[1:]), s.degradations[0].added(after, n))
        )
        if s.degradations
        else None,
        "values": values(law.parameters),
    }


def values(parameters: Any) -> dict[str, Any]:
    """Parameters by the names of their symbols, as plain numbers or lists."""
    from precsim import symbolic

    return {str(symbolic.symbol(n)): v.tolist() if hasattr(v, "tolist") else float(v) for n, v in parameters.items()}
