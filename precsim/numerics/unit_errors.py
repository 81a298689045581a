"""How wrong a matrix unit's sums are: a bound from its numbers, and a table of measured errors against length."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from precsim.numerics.formats import FP32
from precsim.numerics.matrix_product import multiply
from precsim.numerics.matrix_unit import Chain, Join, MatrixUnit
from precsim.numerics.modes import Rounding
from precsim.numerics.rounding import round_to

__all__ = ["unit_error_bound", "unit_errors"]

_SHAPE = (16, 64)  # 1,024 sums for one number of the table


def unit_error_bound(unit: MatrixUnit, n: int, chain: Chain | None = None) -> float:
    """Return c in ``|computed - exact| <= c sum |terms|`` for n products, without overflow or underflow.

    Parameters
    ----------
    unit : MatrixUnit
        One that aligns the accumulator with the products.
    n : int
        Number of products.
    chain : Chain, optional

    Raises
    ------
    ValueError
        If n < 1, the chain's parts do not add up to n, or the unit joins the accumulator afterwards.

    Notes
    -----
    In one step, E is at most the exponent of the largest term, so that each of the t terms that are truncated loses
    less than ``2**-f`` of it; the accumulator's rounding costs u of the sum. Truncation never makes a sum of magnitudes
    larger, hence after N steps ``c = N (t 2**-f + u)``, with t = L products, one more where the accumulator has more
    bits than f. Promotion and parts multiply ``1 + c`` of a piece by ``1 + gamma`` of the float32 additions.

    Examples
    --------
    >>> from precsim.numerics.named_units import H100_BF16, H100_FP8
    >>> unit_error_bound(H100_FP8, 4096), unit_error_bound(H100_FP8, 4096, Chain(promote=128)) < 0.017
    (0.515625, True)
    """
    chain = Chain() if chain is None else chain
    if n < 1 or (chain.parts and sum(chain.parts) != n):
        raise ValueError(f"a sum has at least one term, and parts add up to n; received n={n}, {chain}")
    if unit.join is not Join.ALIGNED:
        raise ValueError(f"the bound is that of units that align the accumulator with the products; received {unit}")
    at_once = unit.terms // unit.split
    longest = max(chain.parts or (n,))
    piece = min(longest, chain.promote or longest)
    stored = unit.output.precision - 1
    u = 2.0 ** -(stored + (unit.rounding is Rounding.NEAREST_EVEN))
    terms = at_once + (stored > unit.fraction_bits)
    inner = math.ceil(piece / at_once) * (terms * 2.0**-unit.fraction_bits + u)
    additions = math.ceil(longest / piece) - 1 + max(len(chain.parts) - 1, 0)
    outer = additions * float(FP32.unit_roundoff)
    return (1 + inner) * (1 + outer / (1 - outer)) - 1


def unit_errors(
    units: Mapping[str, tuple[MatrixUnit, Chain]], lengths: Iterable[int], *, one_sign: bool, seed: int = 0
) -> list[dict[str, float | int | str]]:
    """Return the error and the bias of sums of products of normal numbers, for each unit and length.

    Parameters
    ----------
    units : mapping of str to (MatrixUnit, Chain)
        By the names that the rows get; units without block scales.
    lengths : iterable of int
        Numbers of products, K.
    one_sign : bool
        True: magnitudes of normal numbers, so that all terms are positive.
    seed : int

    Returns
    -------
    list of dict
        "name", "n", "error" and "bias": the root mean square, and the mean in the direction of the exact sum, of
        computed minus exact, over 1,024 sums; both divided by the root mean square of the exact sums. Infinite sums
        make both infinite.

    Examples
    --------
    >>> from precsim.numerics.named_units import H100_FP8
    >>> chains = {"one chain": Chain(), "promoted": Chain(promote=128)}
    >>> for row in unit_errors({k: (H100_FP8, c) for k, c in chains.items()}, [4096], one_sign=True):
    ...     print(f"{row['name']}: bias {row['bias']:.2%}")
    one chain: bias -6.97%
    promoted: bias -0.06%
    """
    rows = []
    for n in lengths:
        rng = np.random.default_rng([seed, n])
        x, y = rng.standard_normal((_SHAPE[0], n)), rng.standard_normal((n, _SHAPE[1]))
        for name, (unit, chain) in units.items():
            a, b = (round_to(v.astype(np.float32), f) for v, f in ((x, unit.left), (y, unit.right)))
            if one_sign:
                a, b = np.abs(a), np.abs(b)
            exact = a.astype(np.float64) @ b.astype(np.float64)  # 2**-53 of the terms: below every unit's error
            wrong = multiply(a, b, unit, chain).astype(np.float64) - exact
            size = math.sqrt(np.mean(exact**2))
            error = math.sqrt(np.mean(wrong**2)) / size
            bias = float(np.mean(wrong * np.sign(exact))) / size
            rows.append({"name": name, "n": n, "error": error, "bias": bias})
    return rows
