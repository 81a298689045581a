# %% [markdown]
# # Problem set 2: bits, spacing, rounding, a block, a tensor core
#
# Eight short functions about one small format, one block and one instruction. Replace `raise NotImplementedError`, run
# the cell, then run the check below it. A wrong answer is told which mistake it most likely is. Reading: the chapters
# of part 1, *Stochastic rounding*, and *What a tensor core adds up*.
#
# The format is E3M2: 1 sign bit, 3 exponent bits $E$ with bias 3, 2 trailing significand bits $T$. Its values are
# $(1 + T/4)\,2^{E-3}$ for $E > 0$ and $(T/4)\,2^{-2}$ for $E = 0$. The largest is 28; there is no infinity and no NaN.

# %%
import math

import numpy as np

import precsim as ps
from precsim.course import ps2

# %% [markdown]
# ## 1. Encode a value (2 points)
#
# Write `encode_e3m2`, which takes a number that *is* a value of E3M2 and returns its code, an integer from 0 to 63.
# Two codes to try by hand first: 1 is `0b0_011_00`, and the smallest subnormal is `0b0_000_01`.


# %% exercise="encode_e3m2" role="about"
minutes = 15
objectives = {"1-numbers/number-line": "read the value of a code"}


# %% exercise="encode_e3m2" role="answer"
def encode_e3m2(x: float) -> int:
    """Code of a value of E3M2."""
    ### BEGIN SOLUTION
    sign = 32 if x < 0 else 0
    if abs(x) < 0.25:
        return sign + int(abs(x) * 16)
    exponent = math.frexp(abs(x))[1] - 1
    trailing = int((abs(x) / 2.0**exponent - 1) * 4)
    return sign + 4 * (exponent + 3) + trailing
    ### END SOLUTION


# %% exercise="encode_e3m2" role="check" points=2
ps.course.check(ps2.ENCODE, encode_e3m2)


# %% exercise="encode_e3m2" role="group" group="other values" points=1
inputs = [(ps.FP6_E3M2.value(code),) for code in range(64) if code != 32]  # 32 is -0


# %% exercise="encode_e3m2" role="wrong" mistake="hidden bit"
def encode_e3m2(x: float) -> int:
    sign = 32 if x < 0 else 0
    if abs(x) < 0.25:
        return sign | int(abs(x) * 16)
    mantissa, exponent = math.frexp(abs(x))
    return sign | (exponent + 2) << 2 | int(mantissa * 8)


# %% exercise="encode_e3m2" role="wrong" mistake="subnormals"
def encode_e3m2(x: float) -> int:
    sign = 32 if x < 0 else 0
    mantissa, exponent = math.frexp(abs(x))
    return sign if exponent < -1 or x == 0 else sign | (exponent + 2) << 2 | int(mantissa * 8) & 3


# %% exercise="encode_e3m2" role="wrong" mistake="sign"
def encode_e3m2(x: float) -> int:
    return [abs(ps.FP6_E3M2.value(code)) for code in range(32)].index(abs(x))


# %% [markdown]
# ## 2. Spacing (1 point)
#
# Write `spacing`: the distance between neighboring values of E3M2 around a finite $x \ne 0$, that is
# $2^{\max(\lfloor \log_2|x| \rfloor,\,-2) - 2}$. Use `math.frexp`, not a logarithm: why?


# %% exercise="spacing" role="about"
minutes = 10
objectives = {"1-numbers/number-line": "say how far apart a format's numbers are"}


# %% exercise="spacing" role="answer"
def spacing(x: float) -> float:
    """Unit in the last place of E3M2 at x."""
    ### BEGIN SOLUTION
    exponent = math.frexp(x)[1] - 1
    return 2.0 ** (max(exponent, -2) - 2)
    ### END SOLUTION


# %% exercise="spacing" role="check" points=1
ps.course.check(ps2.SPACING, spacing)


# %% exercise="spacing" role="group" group="other numbers" points=1
inputs = [(sign * x,) for x in np.linspace(0.01, 27.9, 313).tolist() for sign in (1, -1)]


# %% exercise="spacing" role="wrong" mistake="no emin"
def spacing(x: float) -> float:
    return math.ldexp(1.0, math.frexp(x)[1] - 3)


# %% exercise="spacing" role="wrong" mistake="exponent of frexp"
def spacing(x: float) -> float:
    return math.ldexp(1.0, max(math.frexp(x)[1], -2) - 2)


# %% exercise="spacing" role="wrong" mistake="precision"
def spacing(x: float) -> float:
    return math.ldexp(1.0, max(math.frexp(x)[1] - 1, -2) - 3)


# %% [markdown]
# ## 3. The next value above (2 points)
#
# Write `next_above`: the smallest value of E3M2 greater than a given value of E3M2; `math.nan` above the largest.
# Try −2 by hand: which values lie next to it on either side?


# %% exercise="next_above" role="about"
minutes = 15
objectives = {"1-numbers/number-line": "say how far apart a format's numbers are"}


# %% exercise="next_above" role="answer"
def next_above(x: float) -> float:
    """The value of E3M2 that follows x; math.nan after 28."""
    ### BEGIN SOLUTION
    if x == 28:
        return math.nan
    if x < 0 and math.frexp(-x)[0] == 0.5 and x < -0.25:
        return x + 2.0 ** (math.frexp(-x)[1] - 4)
    return x + (2.0**-4 if x == 0 else 2.0 ** (max(math.frexp(x)[1] - 1, -2) - 2))
    ### END SOLUTION


# %% exercise="next_above" role="check" points=2
ps.course.check(ps2.NEXT_UP, next_above)


# %% exercise="next_above" role="group" group="other values" points=1
inputs = [(x,) for x in ps.FP6_E3M2.values().tolist()]


# %% exercise="next_above" role="wrong" mistake="power of two"
def next_above(x: float) -> float:
    if x >= 28:
        return math.nan
    return x + math.ldexp(1.0, max(math.frexp(x)[1] - 1, -2) - 2)


# %% exercise="next_above" role="wrong" mistake="end"
def next_above(x: float) -> float:
    above = [v for v in ps.FP6_E3M2.values().tolist() if v > x]
    return above[0] if above else 32.0


# %% [markdown]
# ## 4. Round by a mode (3 points)
#
# Write `round_by`, which moves a number within the range of E3M2 by one of four modes: `"up"` (toward $+\infty$),
# `"down"`, `"toward zero"`, and `"to odd"` (a number that is no value goes to the neighbor whose last significand bit
# is 1). Hint: in units of the spacing the values around $x$ are integers.


# %% exercise="round_by" role="about"
minutes = 20
objectives = {"1-numbers/rounding": "round a number by hand under six modes"}


# %% exercise="round_by" role="answer"
def round_by(x: float, mode: str) -> float:
    """The value of E3M2 that the mode gives."""
    ### BEGIN SOLUTION
    unit = 2.0 ** (max(math.frexp(x)[1] - 1, -2) - 2)
    low, high = math.floor(x / unit), math.ceil(x / unit)
    odd = low if low % 2 else high
    picks = {"up": high, "down": low, "toward zero": low if x > 0 else high, "to odd": odd}
    return (low if low == high else picks[mode]) * unit
    ### END SOLUTION


# %% exercise="round_by" role="check" points=3
ps.course.check(ps2.DIRECTED, round_by)


# %% exercise="round_by" role="group" group="other numbers" points=2
modes = ("up", "down", "toward zero", "to odd")
inputs = [(x, mode) for x in np.linspace(-27.9, 27.9, 401).tolist() if x for mode in modes]


# %% exercise="round_by" role="wrong" mistake="mirror"
def round_by(x: float, mode: str) -> float:
    unit = math.ldexp(1.0, max(math.frexp(x)[1] - 1, -2) - 2)
    low, high = math.floor(abs(x) / unit), math.ceil(abs(x) / unit)
    n = {"up": high, "down": low, "toward zero": low, "to odd": low if low % 2 or low == high else high}[mode]
    return math.copysign(n * unit, x)


# %% exercise="round_by" role="wrong" mistake="floor for zero"
def round_by(x: float, mode: str) -> float:
    unit = math.ldexp(1.0, max(math.frexp(x)[1] - 1, -2) - 2)
    low, high = math.floor(x / unit), math.ceil(x / unit)
    return unit * {"up": high, "down": low, "toward zero": low, "to odd": low if low % 2 else high}[mode]


# %% exercise="round_by" role="wrong" mistake="nearest"
def round_by(x: float, mode: str) -> float:
    unit = math.ldexp(1.0, max(math.frexp(x)[1] - 1, -2) - 2)
    return unit * {"up": math.ceil, "down": math.floor, "toward zero": math.trunc, "to odd": round}[mode](x / unit)


# %% [markdown]
# ## 5. Round with random bits (3 points)
#
# Write `stochastic_round` by variant A: with $\nu$ the fraction of the interval that lies between the neighbor nearer
# zero and $x$, and `bits` a random integer $R$, $0 \le R < 2^N$, the result moves away from zero if
# $\lfloor \nu\, 2^N \rfloor + R \ge 2^N$. All numbers are within the range of E3M2.


# %% exercise="stochastic_round" role="about"
minutes = 20
objectives = {"2-arithmetic/stochastic-rounding": "say how many random bits a use needs"}


# %% exercise="stochastic_round" role="answer"
def stochastic_round(x: float, bits: int, width: int) -> float:
    """A neighbor of x in E3M2, chosen by the random integer bits, 0 <= bits < 2**width."""
    ### BEGIN SOLUTION
    unit = 2.0 ** (max(math.frexp(x)[1] - 1, -2) - 2)
    low = math.floor(abs(x) / unit)
    fraction = abs(x) / unit - low
    away = math.floor(fraction * 2**width) + bits >= 2**width
    return math.copysign((low + away) * unit, x)
    ### END SOLUTION


# %% exercise="stochastic_round" role="check" points=3
ps.course.check(ps2.STOCHASTIC, stochastic_round)


# %% exercise="stochastic_round" role="group" group="other numbers" points=2
inputs = [(x, bits, 5) for x in (0.26, -3.3, 17.0, 0.05) for bits in range(32)]


# %% exercise="stochastic_round" role="wrong" mistake="reversed"
def stochastic_round(x: float, bits: int, width: int) -> float:
    unit = math.ldexp(1.0, max(math.frexp(x)[1] - 1, -2) - 2)
    whole, fraction = divmod(abs(x) / unit, 1)
    return math.copysign((whole + (bits < int(fraction * 2**width))) * unit, x)


# %% exercise="stochastic_round" role="wrong" mistake="off by one"
def stochastic_round(x: float, bits: int, width: int) -> float:
    unit = math.ldexp(1.0, max(math.frexp(x)[1] - 1, -2) - 2)
    whole, fraction = divmod(abs(x) / unit, 1)
    return math.copysign((whole + (int(fraction * 2**width) + bits > 2**width)) * unit, x)


# %% exercise="stochastic_round" role="wrong" mistake="sign"
def stochastic_round(x: float, bits: int, width: int) -> float:
    unit = math.ldexp(1.0, max(math.frexp(x)[1] - 1, -2) - 2)
    whole, fraction = divmod(x / unit, 1)
    return (whole + (int(fraction * 2**width) + bits >= 2**width)) * unit


# %% [markdown]
# ## 6. The scale of an MX block (2 points)
#
# A block of E2M1 elements (values 0, 0.5, 1, 1.5, 2, 3, 4, 6 with both signs) shares a scale $2^E$. The OCP's rule is
# $E = \lfloor \log_2 \max|x| \rfloor - 2$. Write `mx_exponent`, which returns $E$ for a block that is not all zero.


# %% exercise="mx_exponent" role="about"
minutes = 10
objectives = {"1-numbers/block-scaling": "compute the power-of-two scale of an MX block"}


# %% exercise="mx_exponent" role="answer"
def mx_exponent(block) -> int:
    """Exponent of the block's scale by the OCP's rule."""
    ### BEGIN SOLUTION
    largest = max(abs(x) for x in block)
    return math.frexp(largest)[1] - 1 - 2
    ### END SOLUTION


# %% exercise="mx_exponent" role="check" points=2
ps.course.check(ps2.MX_SCALE, mx_exponent)


# %% exercise="mx_exponent" role="group" group="other blocks" points=1
shapes = ((1.0, 0.0), (1.999, -1.0), (0.0, -1.5))
inputs = [(tuple(x * 2.0**k for x in shape),) for k in range(-20, 20) for shape in shapes]


# %% exercise="mx_exponent" role="wrong" mistake="emax"
def mx_exponent(block) -> int:
    return max(math.frexp(x)[1] for x in block) - 1


# %% exercise="mx_exponent" role="wrong" mistake="no clipping"
def mx_exponent(block) -> int:
    largest, exponent = max(abs(x) for x in block), -50
    while largest > 6 * 2.0**exponent:
        exponent += 1
    return exponent


# %% exercise="mx_exponent" role="wrong" mistake="round"
def mx_exponent(block) -> int:
    return round(math.log2(max(abs(x) for x in block)) - 2)


# %% [markdown]
# ## 7. What comes back from the block (3 points)
#
# Write `mx_value`: the value that element number `place` of a block has after it was stored. Divide by the scale of
# exercise 6, round to the nearest E2M1 value (ties to the even code), saturate at 6, and multiply back. You may use
# `ps.round_to(x, ps.FP4_E2M1)`, or write the rounding yourself.


# %% exercise="mx_value" role="about"
minutes = 15
objectives = {"1-numbers/block-scaling": "quantize with a scale per tensor, per channel and per block"}


# %% exercise="mx_value" role="answer"
def mx_value(block, place: int) -> float:
    """Element of an MXFP4 block after quantization."""
    ### BEGIN SOLUTION
    scale = 2.0 ** (math.frexp(max(abs(x) for x in block))[1] - 3)
    return scale * float(ps.round_to(block[place] / scale, ps.FP4_E2M1, saturate=True))
    ### END SOLUTION


# %% exercise="mx_value" role="check" points=3
ps.course.check(ps2.MX_ELEMENT, mx_value)


# %% exercise="mx_value" role="group" group="other blocks" points=2
blocks = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32).tolist()
inputs = [(tuple(block), place) for block in blocks for place in range(8)]


# %% exercise="mx_value" role="wrong" mistake="not scaled back"
def mx_value(block, place: int) -> float:
    largest = math.frexp(max(abs(x) for x in block))[1]
    return float(ps.round_to(math.ldexp(block[place], 3 - largest), ps.FP4_E2M1))


# %% exercise="mx_value" role="wrong" mistake="absmax scale"
def mx_value(block, place: int) -> float:
    scale = max(abs(x) for x in block) / 6
    return float(ps.round_to(np.float32(block[place]) / scale, ps.FP4_E2M1)) * scale


# %% exercise="mx_value" role="wrong" mistake="beyond the end"
def mx_value(block, place: int) -> float:
    scale = 2.0 ** (math.frexp(max(abs(x) for x in block))[1] - 3)
    wide = ps.Format(name="wide", exponent_bits=3, precision=2, bias=1, specials=ps.Specials.NONE)
    return float(ps.round_to(np.float64(np.float32(block[place])) / scale, wide)) * scale


# %% [markdown]
# ## 8. What a tensor core adds up (3 points)
#
# Write `aligned_sum`. Each term is a pair $(s, e)$ with the value $s\,2^e$; it is a product of two significands, so
# $1 \le |s| < 4$. The unit takes the largest exponent $E$ of all terms, cuts every term off (toward zero) to a multiple
# of $2^{E-f}$, and adds what is left exactly. By hand first: with $f = 3$, what is left of $(1, -4)$
# beside $(1.75, 0)$?


# %% exercise="aligned_sum" role="about"
minutes = 15
objectives = {"2-arithmetic/tensor-cores": "follow one instruction bit by bit"}


# %% exercise="aligned_sum" role="answer"
def aligned_sum(terms, f: int) -> float:
    """Sum of s 2**e over pairs (s, e), each cut to f fraction bits below the largest exponent."""
    ### BEGIN SOLUTION
    largest = max(e for _, e in terms)
    return sum(math.trunc(s * 2.0 ** (f + e - largest)) for s, e in terms) * 2.0 ** (largest - f)
    ### END SOLUTION


# %% exercise="aligned_sum" role="check" points=3
ps.course.check(ps2.ALIGNED, aligned_sum)


# %% exercise="aligned_sum" role="group" group="other terms" points=2
rng = np.random.default_rng(0)
products = [np.prod(rng.choice([-1.75, -1.25, 1.0, 1.125, 1.5, 1.875], (2, 8)), axis=0) for _ in range(50)]
inputs = [(tuple(zip(s.tolist(), rng.integers(-12, 13, 8).tolist(), strict=True)), 13) for s in products]


# %% exercise="aligned_sum" role="wrong" mistake="toward minus infinity"
def aligned_sum(terms, f: int) -> float:
    unit = 2.0 ** (max(e for _, e in terms) - f)
    return sum(s * 2.0**e // unit * unit for s, e in terms)


# %% exercise="aligned_sum" role="wrong" mistake="cut after the sum"
def aligned_sum(terms, f: int) -> float:
    unit = 2.0 ** (max(e for _, e in terms) - f)
    return math.trunc(sum(math.ldexp(s, e) for s, e in terms) / unit) * unit


# %% exercise="aligned_sum" role="wrong" mistake="normalized"
def aligned_sum(terms, f: int) -> float:
    unit = 2.0 ** (max(math.frexp(s * 2.0**e)[1] - 1 for s, e in terms) - f)
    return sum(math.trunc(s * 2.0**e / unit) for s, e in terms) * unit
