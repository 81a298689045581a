"""How the rounding errors of activations and of the KV cache travel: through a norm, and through attention."""

from __future__ import annotations

import sympy as sp

from precsim.symbolic.steps import Derivation, Steps

__all__ = ["attention_noise", "norm_noise", "softmax_slope"]

n, e = sp.symbols("n e", positive=True)  # width of a vector, relative mean square of its error
p, value, output = sp.symbols("p_j v_j o", real=True)  # share of a key in a softmax, its value, the weighted mean
s_v, s_k, query, width = sp.symbols("sigma_V sigma_K q d_h", positive=True)
concentration, contrast = sp.symbols("A B", positive=True)  # sums over keys of p², and of p² (v - o)²


@Derivation
def norm_noise() -> Steps:
    """Relative error behind RMSNorm of a vector whose elements err independently: the share along it is lost."""
    x = sp.symbols("x_0:3", real=True)
    size = sp.sqrt(sum(one**2 for one in x) / 3)
    normed = sp.Matrix([one / size for one in x])
    slope = sp.simplify(normed.jacobian(x) * size)
    yield "What a change of the vector does behind the norm, times the vector's size:", slope
    letters = sp.symbols("y_0:3", real=True)
    y = sp.Matrix(letters)
    along = sp.eye(3) - y * y.T / 3
    same = along.subs({letter: one / size for letter, one in zip(letters, x, strict=True)})
    yield "That is the projection off the normed vector y = x/size; their difference:", sp.simplify(slope - same)
    trace = sp.simplify(along.trace().subs(y[0] ** 2, 3 - y[1] ** 2 - y[2] ** 2))
    yield "Of three independent errors two are left; y has mean square 1:", trace
    yield "Of n, all but one: the relative mean square e becomes", e * (n - 1) / n


@Derivation
def softmax_slope() -> Steps:
    """Slope of the output of attention in one of its scores."""
    scores, values = sp.symbols("s_0:3", real=True), sp.symbols("v_0:3", real=True)
    weights = [sp.exp(one) / sum(sp.exp(other) for other in scores) for one in scores]
    mean = sum(one * other for one, other in zip(weights, values, strict=True))
    slope = sp.simplify(sp.diff(mean, scores[0]) - weights[0] * (values[0] - mean))
    yield (
        "For three keys, the slope in the first score less p (v - o), how far its value is off:",
        slope,
    )
    yield "So in any score it is", p * (value - output)


@Derivation
def attention_noise() -> Steps:
    """Mean squared error of an output of attention whose values and keys err independently."""
    values = s_v**2 * concentration
    yield "Errors of values are averaged with the weights p; A is the sum of p² over the keys:", values
    score = query**2 * s_k**2 / width
    yield "Errors of a key of width d_h move its score q k/√d_h by", score
    keys = score * contrast
    yield "and the output by the slope in that score; B is the sum of p² (v - o)²:", keys
    yield "Both are independent:", values + keys
