"""Second-order forward differentiation: a law's one expression also yields its gradient and curvature.

A `Jet` is a truncated Taylor series in several variables: a value, its first partial derivatives and its
second ones. It knows ``+ - * / **`` and `exp`, which is all a law uses, so a law evaluated on jets returns
exact derivatives of the formula that was evaluated on numbers. Partials are kept sparsely (by variable),
because a term of a law depends on a few parameters only.
"""

from __future__ import annotations

import sys

import numpy as np


class Jet:
    """A value with its first and second partial derivatives: f, {i: ∂f/∂xᵢ}, {(i, j): ∂²f/∂xᵢ∂xⱼ}, i ≤ j.

    Parameters
    ----------
    value : float or ndarray
        The value; any shape.
    first : dict of int to float or ndarray
        First partials, each broadcastable against `value`; a variable that is absent has partial zero.
    second : dict of (int, int) to float or ndarray
        Second partials with i ≤ j, likewise.

    Examples
    --------
    >>> x = Jet.variable(3.0, 0)
    >>> y = x * x
    >>> y.value, y.first[0], y.second[0, 0]
    (9.0, 6.0, 2.0)
    """

    __slots__ = ("first", "second", "value")
    __array_ufunc__ = None  # makes ndarray * Jet call Jet.__rmul__ instead of looping over elements

    def __init__(self, value, first=None, second=None):
        self.value = value
        self.first = first or {}
        self.second = second or {}

    @staticmethod
    def variable(value, index: int) -> Jet:
        """The variable number `index` itself, at `value`."""
        return Jet(value, {index: 1.0})

    @staticmethod
    def exponential(log_value, index: int) -> Jet:
        """Exp of variable number `index`: a parameter that must stay positive, moved on a log scale."""
        value = np.exp(log_value)
        return Jet(value, {index: value}, {(index, index): value})

    def chain(self, f0, f1, f2) -> Jet:
        """f(self) from the values of f, f′ and f″ at self.value."""
        # ∂²f(u)/∂xᵢ∂xⱼ = f′·∂²u/∂xᵢ∂xⱼ + f″·∂u/∂xᵢ·∂u/∂xⱼ, for i ≤ j only: the matrix is symmetric, and what is
        # kept once cannot disagree with its mirror image.
        first = {i: f1 * d for i, d in self.first.items()}
        second = {key: f1 * d for key, d in self.second.items()}
        names = sorted(self.first)
        for a, i in enumerate(names):
            left = f2 * self.first[i]
            for j in names[a:]:
                term = left * self.first[j]
                second[i, j] = second[i, j] + term if (i, j) in second else term
        return Jet(f0, first, second)

    def exp(self) -> Jet:
        """e^self; its three derivatives are one number."""
        e = np.exp(self.value)
        return self.chain(e, e, e)

    def log(self) -> Jet:
        """Natural logarithm of self, where positive; NaN elsewhere."""
        inverse = 1.0 / self.value
        return self.chain(np.log(self.value), inverse, -inverse * inverse)

    def __add__(self, other):
        if not isinstance(other, Jet):
            return Jet(self.value + other, self.first, self.second)
        return Jet(self.value + other.value, _sum(self.first, other.first), _sum(self.second, other.second))

    __radd__ = __add__

    def __neg__(self):
        return Jet(-self.value, {i: -d for i, d in self.first.items()}, {k: -d for k, d in self.second.items()})

    def __sub__(self, other):
        return self + (-other)

    def __rsub__(self, other):
        return (-self) + other

    def __mul__(self, other):
        if not isinstance(other, Jet):
            return Jet(
                self.value * other,
                {i: d * other for i, d in self.first.items()},
                {k: d * other for k, d in self.second.items()},
            )
        x, y = self.value, other.value
        first = _sum({i: d * y for i, d in self.first.items()}, {i: x * d for i, d in other.first.items()})
        second = _sum({k: d * y for k, d in self.second.items()}, {k: x * d for k, d in other.second.items()})
        # ∂²(xy) has the mixed terms xᵢyⱼ + xⱼyᵢ. For i ≠ j the loops meet both and add them under one key; for i = j
        # they meet one, which counts twice.
        for i, di in self.first.items():
            for j, dj in other.first.items():
                key = (i, j) if i <= j else (j, i)
                term = di * dj if i != j else 2.0 * (di * dj)
                second[key] = second[key] + term if key in second else term
        return Jet(x * y, first, second)

    __rmul__ = __mul__

    def __truediv__(self, other):
        return self * (other**-1.0 if isinstance(other, Jet) else 1.0 / other)

    def __rtruediv__(self, other):
        return self**-1.0 * other

    def __pow__(self, power):
        if isinstance(power, Jet):
            return (self.log() * power).exp()
        x = self.value
        f0 = x**power
        f1 = power * f0 / x  # of the power that is there: one instead of three
        return self.chain(f0, f1, (power - 1.0) * f1 / x)

    def __rpow__(self, base):
        return (self * np.log(base)).exp()


def _sum(a: dict, b: dict) -> dict:
    out = dict(a)
    for key, d in b.items():
        out[key] = out[key] + d if key in out else d
    return out


def _apply(name: str, x):
    if isinstance(x, Jet):
        return getattr(x, name)()
    if hasattr(x, "free_symbols"):  # a SymPy expression: SymPy is loaded already, and laws never import it
        return getattr(sys.modules["sympy"], name)(x)
    return getattr(np, name)(x)


def exp(x):
    """e^x, for numbers, arrays, jets and SymPy expressions alike.

    Examples
    --------
    >>> exp(0.0)
    np.float64(1.0)
    """
    return _apply("exp", x)


def log(x):
    """Natural logarithm, for numbers, arrays, jets and SymPy expressions alike."""
    return _apply("log", x)


def ramp(x):
    """The larger of x and 0, for numbers, arrays and jets; a symbol stands for a positive number.

    Examples
    --------
    >>> ramp(-2.0), ramp(3.0)
    (np.float64(0.0), np.float64(3.0))
    """
    if isinstance(x, Jet):
        return x * np.where(x.value > 0, 1.0, 0.0)
    return np.maximum(x, 0.0) if numeric(x) else x


def numeric(x) -> bool:
    """Whether x is a number or an array of numbers, so that its value can be checked."""
    return not isinstance(x, Jet) and not hasattr(x, "free_symbols") and x is not None
