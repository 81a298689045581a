# %% [markdown]
# # Problem set 1: codes, rounding, and too much data
#
# Three functions, each about ten lines. Replace `raise NotImplementedError`, run the cell, then run the check below
# it. A wrong answer is told which mistake it most likely is. Reading: the chapters *One sitting* and *The number
# line* of the book.

# %%
import math

import precsim as ps
from precsim.course import ps1

# %% [markdown]
# ## 1. Decode a code (3 points)
#
# The 8 bits of an E4M3 number (the format of the Open Compute Project) are, from the highest: 1 sign bit $s$,
# 4 bits of exponent $E$, 3 bits of trailing significand $T$. Its value is
#
# $$x = (-1)^s \cdot \begin{cases} (1 + T/8)\, 2^{E-7} & E > 0,\\ (T/8)\, 2^{-6} & E = 0,\end{cases}$$
#
# except for the codes with $E = 15$ and $T = 7$, which are not a number. Write `decode`, which takes the code as an
# integer from 0 to 255.
#
# Two codes to try by hand first: `0x38` is 1, `0x01` is $2^{-9}$.


# %% exercise="decode" role="about"
minutes = 25
objectives = {"1-numbers/number-line": "read the value of a code"}


# %% exercise="decode" role="answer"
def decode(code: int) -> float:
    """Value of an E4M3 code, 0 <= code < 256; math.nan for the two codes that are not a number."""
    ### BEGIN SOLUTION
    sign = -1.0 if code >> 7 else 1.0
    exponent = (code >> 3) & 0b1111
    trailing = code & 0b111
    if exponent == 15 and trailing == 7:
        return math.nan
    if exponent == 0:
        return sign * trailing / 8 * 2.0**-6
    return sign * (1 + trailing / 8) * 2.0 ** (exponent - 7)
    ### END SOLUTION


# %% exercise="decode" role="check" points=3
ps.course.check(ps1.DECODE, decode)


# %% exercise="decode" role="group" group="normal numbers" points=1
inputs = [(code,) for code in range(256) if code & 0x78 and code & 0x7F != 0x7F]


# %% exercise="decode" role="group" group="subnormals and zero" points=1
inputs = [(code,) for code in (*range(17), *range(0x80, 0x91))]


# %% exercise="decode" role="group" group="not a number, and its neighbors" points=1
inputs = [(code,) for code in (0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF, 0x3F, 0xBF)]


# %% exercise="decode" role="wrong" mistake="bias"
def decode(code: int) -> float:
    sign, exponent, trailing = (-1) ** (code >> 7), (code >> 3) & 15, code & 7
    if code & 127 == 127:
        return math.nan
    if exponent == 0:
        return sign * math.ldexp(trailing, -10)
    return sign * math.ldexp(8 + trailing, exponent - 8 - 3)


# %% exercise="decode" role="wrong" mistake="hidden bit"
def decode(code: int) -> float:
    sign, exponent, trailing = (-1) ** (code >> 7), (code >> 3) & 15, code & 7
    if code & 127 == 127:
        return math.nan
    return sign * math.ldexp(8 + trailing, exponent - 10)


# %% exercise="decode" role="wrong" mistake="subnormal exponent"
def decode(code: int) -> float:
    sign, exponent, trailing = (-1) ** (code >> 7), (code >> 3) & 15, code & 7
    if code & 127 == 127:
        return math.nan
    return sign * math.ldexp(trailing + 8 * (exponent > 0), exponent - 7 - 3)


# %% exercise="decode" role="wrong" mistake="no NaN"
def decode(code: int) -> float:
    sign, exponent, trailing = (-1) ** (code >> 7), (code >> 3) & 15, code & 7
    return sign * math.ldexp(trailing + 8 * (exponent > 0), max(exponent, 1) - 7 - 3)


# %% [markdown]
# ## 2. Round a number (4 points)
#
# Write `round_e4m3`, which moves a finite number to the nearest E4M3 value. If two values are equally near, it takes
# the one whose last significand bit is 0 (nearest-even). Numbers beyond the largest value, 448, become 448
# (saturation), and zero stays zero.
#
# Hint 1: `math.frexp(x)` returns $m, e$ with $x = m \cdot 2^e$ and $\tfrac12 \le |m| < 1$.
# Hint 2: the spacing of E4M3 values around $x$ is $2^{\max(e-1,\,-6) - 3}$. Why the maximum?
# Hint 3: Python's `round(t)` with one argument goes to the nearest integer, ties to even.


# %% exercise="round_e4m3" role="about"
minutes = 35
objectives = {"1-numbers/rounding": "round a number by hand under six modes"}


# %% exercise="round_e4m3" role="answer"
def round_e4m3(x: float) -> float:
    """The E4M3 value nearest to a finite x, ties to even; at most 448 in magnitude."""
    ### BEGIN SOLUTION
    if x == 0:
        return x
    exponent = math.frexp(x)[1] - 1
    spacing = 2.0 ** (max(exponent, -6) - 3)
    nearest = round(abs(x) / spacing) * spacing
    return math.copysign(min(nearest, 448.0), x)
    ### END SOLUTION


# %% exercise="round_e4m3" role="check" points=4
ps.course.check(ps1.ROUND, round_e4m3)


# %% exercise="round_e4m3" role="group" group="between two values" points=1
import itertools

pairs = [(a, b) for a, b in itertools.pairwise(ps.FP8_E4M3.values().tolist()) if min(abs(a), abs(b)) >= 2**-6]
inputs = [(low + share * (high - low),) for low, high in pairs for share in (0.0, 0.25, 0.75)]


# %% exercise="round_e4m3" role="group" group="halfway" points=1
import itertools

inputs = [((low + high) / 2,) for low, high in itertools.pairwise(ps.FP8_E4M3.values().tolist())]


# %% exercise="round_e4m3" role="group" group="below the smallest normal number" points=1
inputs = [(n / 8 * 2.0**-9 * sign,) for n in range(65) for sign in (1, -1)]


# %% exercise="round_e4m3" role="group" group="beyond the largest" points=1
inputs = [(sign * x,) for x in (433.0, 447.0, 448.0, 449.0, 465.0, 1e6, 1e30) for sign in (1, -1)]


# %% exercise="round_e4m3" role="wrong" mistake="cut"
def round_e4m3(x: float) -> float:
    if x == 0:
        return x
    spacing = 2.0 ** (max(math.frexp(x)[1] - 1, -6) - 3)
    return max(min(math.trunc(x / spacing) * spacing, 448.0), -448.0)


# %% exercise="round_e4m3" role="wrong" mistake="ties away"
def round_e4m3(x: float) -> float:
    if x == 0:
        return x
    spacing = 2.0 ** (max(math.frexp(x)[1] - 1, -6) - 3)
    return math.copysign(min(int(abs(x) / spacing + 0.5) * spacing, 448.0), x)


# %% exercise="round_e4m3" role="wrong" mistake="no subnormals"
def round_e4m3(x: float) -> float:
    if x == 0:
        return x
    spacing = math.ldexp(1, math.frexp(x)[1] - 4)
    return max(min(round(x / spacing) * spacing, 448.0), -448.0)


# %% exercise="round_e4m3" role="wrong" mistake="overflow"
def round_e4m3(x: float) -> float:
    spacing = 2.0 ** (max(math.frexp(x)[1] - 1, -6) - 3)
    return math.copysign(round(abs(x) / spacing) * spacing, x)


# %% [markdown]
# ## 3. Where more data hurts (3 points)
#
# A model of 30 million parameters is trained on more and more tokens and then quantized. The law of Kumar et al.
# (2024) with its published constants gives the losses below. Each row has `D` (tokens), `full` (loss as trained) and
# `quantized` (loss after quantizing the weights), both in nats per token.

# %%
for row in ps1.damage_table(3):
    damage = row.quantized - row.full
    print(f"D = {row.D:8.2g}   full {row.full:.3f}   quantized {row.quantized:.3f}   damage {damage:.3f}")

# %% [markdown]
# Write `turning_point`: the `D` of the table after which more data makes the *quantized* model worse, which is the
# `D` of its least loss; `math.inf` if the least loss is in the last row, because then the table shows no turning
# point. Before you write it: at 8 bits, do you expect a finite answer?


# %% exercise="turning_point" role="about"
minutes = 30
objectives = {"0-one-sitting": "tell training *in* low precision from quantizing *after*"}


# %% exercise="turning_point" role="answer"
def turning_point(rows) -> float:
    """Tokens D of the least quantized loss; math.inf if that is the last row. Rows are in ascending D."""
    ### BEGIN SOLUTION
    best = min(rows, key=lambda row: row.quantized)
    return math.inf if best.D == rows[-1].D else best.D
    ### END SOLUTION


# %% exercise="turning_point" role="check" points=3
ps.course.check(ps1.TURNING_POINT, turning_point)


# %% exercise="turning_point" role="group" group="other tables" points=2
inputs = [(ps1.damage_table(bits, N=110e6),) for bits in (2.5, 3.2, 4.5, 6)]


# %% exercise="turning_point" role="wrong" mistake="never"
def turning_point(rows) -> float:
    losses = [row.quantized for row in rows]
    return rows[losses.index(min(losses))].D


# %% exercise="turning_point" role="wrong" mistake="before quantizing"
def turning_point(rows) -> float:
    return sorted(rows, key=lambda row: row.full)[0].D


# %% exercise="turning_point" role="wrong" mistake="index"
def turning_point(rows) -> float:
    losses = [row.quantized for row in rows]
    return losses.index(min(losses))


# %% exercise="turning_point" role="wrong" mistake="least damage"
def turning_point(rows) -> float:
    damage = {row.D: row.quantized - row.full for row in rows}
    return min(damage, key=damage.get)
