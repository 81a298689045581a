"""Speed of rounding as ratios to ``np.copyto`` of the same array: process CPU time, the two alternated in one process.

Run by ``make bench``; prints required and reached. Nothing here is a gate of the test suite: a ratio depends on the
machine's caches and on who else uses it. Required figures: for a machine whose memory copy is the limit.
"""

import os
import subprocess
import sys
import time

import ml_dtypes
import numpy as np
import pytest

import precsim as ps
from precsim.numerics import CounterBits, Rounding, decode, encode, round_to

SIZES = (10**7, 10**5, 10**3)
R = Rounding


def alternated(work, reference, size, rounds=9):
    """Return the median over rounds of CPU time of work over that of reference."""
    repeats = max(1, 2 * 10**6 // size)
    work(), reference()
    ratios = []
    for _ in range(rounds):
        times = []
        for call in (work, reference):
            start = time.process_time()
            for _ in range(repeats):
                call()
            times.append(time.process_time() - start)
        ratios.append(times[0] / times[1])
    return float(np.median(ratios))


def rounding(fmt, mode=R.NEAREST_EVEN, noise=None):
    def prepare(x, out, rng):
        bits = rng.integers(2**32, size=x.shape, dtype=np.uint32) if noise == "given" else noise
        return lambda: round_to(x, fmt, mode, noise=bits, out=out)

    return prepare


def in_place(fmt):
    def prepare(x, out, rng):
        y = x.copy()
        return lambda: round_to(y, fmt, out=y)

    return prepare


def encoding(fmt):
    def prepare(x, out, rng):
        codes = encode(x, fmt)
        return lambda: encode(x, fmt, out=codes)

    return prepare


def decoding(fmt):
    def prepare(x, out, rng):
        codes = encode(x, fmt)
        return lambda: decode(codes, fmt, out=out)

    return prepare


def quantizing(quantizer, shape):
    def prepare(x, out, rng):
        rows = x[: x.size // 32 * 32].reshape(shape)
        result = np.empty_like(rows)
        return lambda: quantizer(rows, out=result)

    return prepare


TASKS = {
    **{f"nearest-even {f}": (rounding(f), (1.15, 2.5, 8)) for f in (ps.FP8_E4M3, ps.FP8_E5M2, ps.BF16, ps.FP16)},
    "nearest-even FP4_E2M1": (rounding(ps.FP4_E2M1), (1.15, 2.5, 8)),
    "in place FP8_E4M3": (in_place(ps.FP8_E4M3), (0.85, 2, 8)),
    **{
        f"{mode.name.lower()} FP8_E4M3": (rounding(ps.FP8_E4M3, mode), (1.3, 4, 8))
        for mode in (R.TOWARD_ZERO, R.UP, R.DOWN, R.NEAREST_AWAY, R.TO_ODD)
    },
    "encode FP8_E4M3": (encoding(ps.FP8_E4M3), (1.0, 4, 8)),
    "decode FP8_E4M3": (decoding(ps.FP8_E4M3), (1.0, 2, 8)),
    "stochastic, bits given": (rounding(ps.FP8_E4M3, R.STOCHASTIC, "given"), (1.6, 5, 10)),
    "stochastic, own bits": (rounding(ps.FP8_E4M3, R.STOCHASTIC, CounterBits(1)), (1.7, 7, 10)),
    "INT4 per channel": (quantizing(ps.Quantizer(ps.INT4, ps.PerChannel(0)), (8, -1)), (1.6, 3, 8)),
    "MXFP4": (quantizing(ps.MXFP4, (-1, 32)), (2.2, 8, 15)),
    "MXFP6": (quantizing(ps.MXFP6, (-1, 32)), (2.2, 8, 15)),
    "MXFP8": (quantizing(ps.MXFP8, (-1, 32)), (2.2, 8, 15)),
}


@pytest.mark.parametrize("task", TASKS)
def test_ratio_to_a_copy(task, capsys):
    prepare, required = TASKS[task]
    rng = np.random.default_rng(0)
    cells = []
    for size, bar in zip(SIZES, required, strict=True):
        x = rng.standard_normal(size).astype(np.float32)
        out = np.zeros_like(x)
        reached = alternated(prepare(x, out, rng), lambda out=out, x=x: np.copyto(out, x), size)
        cells.append(f"n={size:<9} required {bar:>5} reached {reached:6.2f} {'ok  ' if reached <= bar else 'MISS'}")
        assert reached > 0.1  # a copy cannot be ten times slower than reading: the measurement itself failed
    with capsys.disabled():
        print(f"\n{task:26s} " + " | ".join(cells), end="")  # noqa: T201


@pytest.mark.parametrize(
    ("fmt", "dtype", "required"),
    [(ps.FP8_E4M3, ml_dtypes.float8_e4m3fn, 18), (ps.FP4_E2M1, ml_dtypes.float4_e2m1fn, 18), (ps.FP16, np.float16, 6)],
    ids=str,
)
def test_ratio_to_a_cast_there_and_back(fmt, dtype, required, capsys):
    x = np.random.default_rng(0).standard_normal(10**6).astype(np.float32)
    out = np.empty_like(x)
    times = alternated(lambda: x.astype(dtype).astype(np.float32), lambda: round_to(x, fmt, out=out), x.size, 5)
    with capsys.disabled():
        print(f"\n{fmt} against {np.dtype(dtype)}: required {required}, reached {times:.1f} times faster", end="")  # noqa: T201


def test_cost_does_not_depend_on_the_data(capsys):
    rng = np.random.default_rng(0)
    n = 10**6
    data = {
        "normal": rng.standard_normal(n),
        "spread": rng.standard_normal(n) * 2.0 ** rng.integers(-40, 40, n),
        "subnormal": rng.standard_normal(n) * 2.0**-130,
        "zeros": np.zeros(n),
        "overflow": rng.standard_normal(n) * 2.0**100,
    }
    out, base = np.empty(n, np.float32), np.zeros(n, np.float32)
    ratios = {}
    for name, values in data.items():
        x = values.astype(np.float32)
        run = lambda x=x: round_to(x, ps.FP8_E4M3, out=out)  # noqa: E731
        ratios[name] = alternated(run, lambda: round_to(base, ps.FP8_E4M3, out=out), n)
    with capsys.disabled():
        worst = max(ratios.values()) / min(ratios.values())
        print(f"\nslowest over fastest input: required 1.15, reached {worst:.2f}", end="")  # noqa: T201


FIRST_CALL = """
import os
import subprocess
import sys
import time
import numpy as np
start = time.process_time()
import precsim as ps
x = np.linspace(-3, 3, 1024, dtype=np.float32).reshape(32, 32)
ps.round_to(x, ps.FP8_E4M3), ps.MXFP4(x)
print(time.process_time() - start)
"""


def test_first_call_and_later_processes(tmp_path, capsys):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def seconds():
        done = subprocess.run([sys.executable, "-c", FIRST_CALL], env=environment, capture_output=True, check=True)
        return float(done.stdout)

    first, later = seconds(), seconds()
    assert first > later  # else nothing was kept on disk
    with capsys.disabled():
        print(f"\nfirst call: required 10 s, reached {first:.1f}; later: required 1 s, {later:.2f}", end="")  # noqa: T201


def test_two_threads(capsys):
    x = np.random.default_rng(0).standard_normal(10**7).astype(np.float32)
    out = np.zeros_like(x)
    gains = []
    for _ in range(9):  # wall clock: what threads are for
        times = []
        for threads in (1, 2):
            start = time.perf_counter()
            round_to(x, ps.FP8_E4M3, R.STOCHASTIC, noise=CounterBits(1), out=out, threads=threads)
            times.append(time.perf_counter() - start)
        gains.append(times[0] / times[1])
    with capsys.disabled():
        print(f"\ntwo threads, stochastic, n=10**7: required 1.5 on an idle machine, {np.median(gains):.2f}", end="")  # noqa: T201
