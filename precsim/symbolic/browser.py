"""A SymPy expression for a browser: text in Vega's language for the charts, or a tree for a script of our own.

Both come from `_plain`, which refuses what a browser would silently compute differently. Charts are evaluated by Vega;
the explorer needs derivatives besides, which its script takes on the tree, in dual numbers: no text is executed there.
"""

from __future__ import annotations

import re

import sympy as sp
from sympy.printing.jscode import JavascriptCodePrinter

#: Names with a meaning of their own inside a Vega expression; E is 2.718…, not a law's irreducible loss.
RESERVED = frozenset(
    "E LN10 LN2 LOG10E LOG2E MAX_VALUE MIN_VALUE NaN PI SQRT1_2 SQRT2 Infinity undefined true false null "
    "datum event item parent this if isNaN isFinite abs acos asin atan atan2 ceil clamp cos exp floor hypot log max "
    "min pow random round sin sqrt tan length date now year month day quarter hours minutes seconds format lower "
    "upper slice split replace trim parseFloat parseInt range scale bandwidth data indata domain copy invert group "
    "xy x y rgb hsl lab hcl luminance warn info debug in span sequence sort reverse join merge extent test "
    "regexp".split()
)


class _Printer(JavascriptCodePrinter):
    """JavaScript without the Math object, numbers with all their digits."""

    def _print_Pow(self, expr):
        if expr.exp == -1:
            return f"1/({self._print(expr.base)})"
        if expr.base == sp.E:
            return f"exp({self._print(expr.exp)})"
        return f"pow({self._print(expr.base)}, {self._print(expr.exp)})"

    def _print_exp(self, expr):
        return f"exp({self._print(expr.args[0])})"

    def _print_log(self, expr):
        return f"log({self._print(expr.args[0])})"

    def _print_Min(self, expr):
        return f"min({', '.join(map(self._print, expr.args))})"

    def _print_Max(self, expr):
        return f"max({', '.join(map(self._print, expr.args))})"

    def _print_Exp1(self, expr):  # pyright: ignore[reportIncompatibleMethodOverride] - SymPy's is an alias
        return "exp(1)"

    def _print_Float(self, expr):
        return repr(float(expr))

    def _print_Rational(self, expr):
        return f"({expr.p}/{expr.q})"

    def _print_Function(self, expr):
        raise ValueError(f"{expr.func.__name__} has no counterpart in a Vega expression")


def _plain(expr: sp.Expr) -> sp.Basic:
    """The expression without functions that both notations lack, its names checked."""
    if isinstance(expr, str):  # which SymPy would evaluate
        raise ValueError(f"an expression of SymPy is wanted, not text: {expr!r}")
    plain = sp.sympify(expr).replace(sp.tanh, lambda x: sp.tanh(x).rewrite(sp.exp))
    names = sorted(str(s) for s in plain.free_symbols)
    taken = [n for n in names if n in RESERVED]
    if taken:
        raise ValueError(
            f"{', '.join(taken)} means something else in a Vega expression; rename the symbol, "
            "as symbolic.symbol does (E becomes E_inf)"
        )
    strange = [n for n in names if not re.fullmatch(r"[A-Za-z_]\w*", n, re.ASCII)]
    if strange:
        raise ValueError(f"{', '.join(strange)} is no identifier in a Vega expression; use letters, digits and _")
    return plain


def to_vega(expr: sp.Expr) -> str:
    """Vega expression that computes the same number, its symbols being signals or parameters of the chart.

    Raises
    ------
    ValueError
        If it is text, a symbol's name is one of Vega's constants or functions, or no identifier, or a function has no
        counterpart. Vega would compute without complaint: with a symbol named E it takes 2.718….

    Examples
    --------
    >>> N, alpha = sp.symbols("N alpha", positive=True)
    >>> to_vega(2 * N**-alpha + sp.exp(-N))
    'exp(-N) + 2*pow(N, -alpha)'
    """
    return str(_Printer().doprint(_plain(expr)))


#: A number, a name, or [operation, argument, …].
Tree = float | str | list["Tree"]
#: Operations that the explorer's script knows.
_OPERATIONS = {sp.Add: "+", sp.Mul: "*", sp.Pow: "^", sp.exp: "exp", sp.log: "log", sp.Max: "max"}


def to_tree(expr: sp.Expr) -> Tree:
    """The same expression as numbers, names and lists [operation, argument, …].

    Raises
    ------
    ValueError
        As `to_vega`.

    Examples
    --------
    >>> N, alpha = sp.symbols("N alpha", positive=True)
    >>> to_tree(2 * N**-alpha)
    ['*', 2.0, ['^', 'N', ['*', -1.0, 'alpha']]]
    """
    return _tree(_plain(expr))


def _tree(expr: sp.Basic) -> Tree:
    if isinstance(expr, sp.Symbol):
        return expr.name
    if isinstance(expr, sp.Number | sp.NumberSymbol):
        return float(expr)
    if expr.func not in _OPERATIONS:
        known = ", ".join(_OPERATIONS.values())
        raise ValueError(f"{expr.func.__name__} has no counterpart in the explorer's script; it knows {known}")
    return [_OPERATIONS[expr.func], *map(_tree, expr.args)]
