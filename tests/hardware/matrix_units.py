"""Matrix products of a Hopper GPU against the simulated units, bit for bit.

Run on a machine with an H100 or H200, PyTorch, Triton and numba::

    python -m tests.hardware.matrix_units OUT.csv

For every case (a unit and how it is called), kind of numbers and chunk, factors are drawn from a seed, the GPU
multiplies them, every result is compared with ``precsim.arithmetic.matmul`` there, and the SHA-256 of the GPU's results
is written, so that any machine can later check a chunk without the GPU.

An `INSTRUCTION` is one ``wgmma`` with an accumulator that is not zero (Triton's ``tl.dot``; TF32: two, one after the
other); a `PRODUCT` is what PyTorch calls for a whole product.
"""

from __future__ import annotations

import csv
import datetime
import enum
import hashlib
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from precsim.numerics import BF16, FP8_E4M3, FP8_E5M2, FP16, Format, encode
from precsim.numerics.arithmetic import Chain, matmul
from precsim.numerics.matrix_unit import MatrixUnit
from precsim.numerics.named_units import H100_BF16, H100_FP8, H100_FP16, H100_FP16_ACCUMULATE, H100_TF32
from tests.support.matrix_inputs import Kind, accumulators, factors

COLUMNS = ("case", "kind", "chunk", "m", "depth", "n", "sha256", "device", "driver", "cuda", "torch")


class Call(enum.Enum):
    """What is asked of the GPU."""

    INSTRUCTION = "one instruction, accumulator not zero"
    PRODUCT = "a whole product from zero"


@dataclass(frozen=True)
class Case:
    """A unit, how it is called, and the sizes of one chunk."""

    name: str
    unit: MatrixUnit
    call: Call
    shape: tuple[int, int, int]
    kinds: tuple[Kind, ...]
    chunks: int
    chain: Chain = field(default_factory=Chain)


_ALL = (Kind.BITS, Kind.FINITE, Kind.NORMAL, Kind.CANCELLING, Kind.LOPSIDED, Kind.TINY, Kind.HUGE)
_LONG = (Kind.FINITE, Kind.NORMAL, Kind.CANCELLING, Kind.LOPSIDED)
_FP8 = {
    "E4M3 E4M3": H100_FP8,
    "E5M2 E4M3": H100_FP8.with_inputs(FP8_E5M2, FP8_E4M3),
    "E4M3 E5M2": H100_FP8.with_inputs(FP8_E4M3, FP8_E5M2),
}
UNITS: dict[str, MatrixUnit] = {
    **_FP8,
    "BF16": H100_BF16,
    "FP16": H100_FP16,
    "TF32": H100_TF32,
    "FP16 accumulate": H100_FP16_ACCUMULATE,
}


def cases() -> Iterator[Case]:
    """All cases, in the order of the table."""
    for name, unit in UNITS.items():
        eight = unit.left.bits == 8
        depth = 16 if unit is H100_TF32 else unit.terms
        pairs = (Kind.PAIRS,) if eight else ()
        yield Case(f"{name}, one instruction", unit, Call.INSTRUCTION, (2048, depth, 2048), _ALL + pairs, 3)
        yield Case(f"{name}, K = 64", unit, Call.PRODUCT, (2048, 64, 2048), _ALL + pairs, 3)
        yield Case(f"{name}, K = 512", unit, Call.PRODUCT, (1024, 512, 1024), _LONG, 2)
        if eight:
            promoted = Chain(promote=128)
            yield Case(f"{name}, promoted", unit, Call.PRODUCT, (1024, 512, 1024), (*_LONG, Kind.BITS), 3, promoted)
    split = Chain(parts=(1408, 1408, 1280))
    yield Case("BF16, split in 3", H100_BF16, Call.PRODUCT, (128, 4096, 128), (Kind.NORMAL,), 2, split)


def inputs(case: Case, kind: Kind, chunk: int):
    """Factors (m, K), (K, n) and accumulators (m, n) or None of one chunk."""
    rng = np.random.default_rng([chunk, *f"{case.name} {kind.name}".encode()])
    a, b = factors(kind, case.unit.left, case.unit.right, case.shape, rng)
    if case.call is Call.PRODUCT:
        return a, b, None
    m, _, n = case.shape
    return a, b, accumulators(kind, case.unit.output is FP16, (m, n), rng)


def expected(case: Case, kind: Kind, chunk: int, threads: int = 1) -> np.ndarray:
    """The simulated unit's results, (m, n)."""
    a, b, c = inputs(case, kind, chunk)
    return matmul(a, b, case.unit, start=c, chain=case.chain, threads=threads)


def digest(results: np.ndarray) -> str:
    """SHA-256 of the results as little-endian bytes."""
    return hashlib.sha256(np.ascontiguousarray(results.astype(results.dtype.newbyteorder("<"))).data).hexdigest()


def on_device(values: np.ndarray, fmt: Format):
    """The values as a tensor of PyTorch's type for the format."""
    import torch

    kinds = {FP8_E4M3: torch.float8_e4m3fn, FP8_E5M2: torch.float8_e5m2, BF16: torch.bfloat16, FP16: torch.float16}
    if fmt not in kinds:
        return torch.from_numpy(values).cuda()
    codes = encode(values, fmt)
    return torch.from_numpy(codes.view(f"i{codes.itemsize}")).cuda().view(kinds[fmt])


def instruction_kernel():
    """Triton's kernel for one tile of 64 x 64 accumulators."""
    import triton
    import triton.language as tl

    @triton.jit
    def kernel(a, b, c, d, n, DEPTH: tl.constexpr):
        rows = tl.program_id(0) * 64 + tl.arange(0, 64)
        columns = tl.program_id(1) * 64 + tl.arange(0, 64)
        places = tl.arange(0, DEPTH)
        x = tl.load(a + rows[:, None] * DEPTH + places[None, :])
        y = tl.load(b + columns[None, :] * DEPTH + places[:, None])
        here = rows[:, None] * n + columns[None, :]
        start = tl.load(c + here)
        tl.store(d + here, tl.dot(x, y, start, input_precision="tf32", out_dtype=start.dtype))

    return kernel


def multiplied(case: Case, a, b, c, kernel) -> np.ndarray:
    """What the GPU gives."""
    import torch

    left, right = on_device(a, case.unit.left), on_device(np.ascontiguousarray(b.T), case.unit.right)
    if case.call is Call.INSTRUCTION:
        start = torch.from_numpy(c).cuda()
        out = torch.empty_like(start)
        m, depth, n = case.shape
        compiled = kernel[(m // 64, n // 64)](left, right, start, out, n, DEPTH=depth)
        wide = "wgmma" in compiled.asm["ptx"]
        if not wide:
            sys.stdout.write(f"{case.name}: not a wgmma instruction\n")
        return out.cpu().numpy()
    if case.unit.left.bits == 8:
        one = torch.ones((), device="cuda")
        fast = case.chain.promote is None
        return torch._scaled_mm(left, right.t(), one, one, out_dtype=torch.float32, use_fast_accum=fast).cpu().numpy()
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cuda.matmul.allow_fp16_accumulation = case.unit is H100_FP16_ACCUMULATE
    if case.unit in (H100_BF16, H100_FP16):
        return torch.mm(left, right.t(), out_dtype=torch.float32).cpu().numpy()
    return torch.mm(left, right.t()).cpu().numpy()


def both(case: Case, kind: Kind, chunk: int):
    """Inputs and simulated results of one chunk."""
    a, b, c = inputs(case, kind, chunk)
    return (a, b, c), matmul(a, b, case.unit, start=c, chain=case.chain, threads=4)


def main(path: str) -> None:
    """Multiply, compare and write one row for each chunk."""
    import torch

    kernel = instruction_kernel()
    device = torch.cuda.get_device_name()
    with open("/proc/driver/nvidia/version") as file:
        driver = next(word for word in file.read().split() if word.count(".") == 2)
    versions = (device, driver, torch.version.cuda, torch.__version__)
    began = time.perf_counter()
    products = wrong = 0
    with open(path, "w", newline="") as file, ThreadPoolExecutor(4) as pool:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for case in cases():
            for kind in case.kinds:
                differences = []
                drawn = pool.map(lambda chunk, c=case, k=kind: both(c, k, chunk), range(case.chunks))
                for chunk, ((a, b, c), wanted) in enumerate(drawn):
                    got = multiplied(case, a, b, c, kernel)
                    codes = f"u{got.itemsize}"
                    unequal = got.view(codes) != wanted.view(codes)
                    differences.append(int(np.count_nonzero(unequal)))
                    if differences[-1] and not any(differences[:-1]):
                        show(case, a, b, c, got, wanted, unequal)
                    table.writerow([case.name, kind.name, chunk, *case.shape, digest(got), *versions])
                    products += got.size
                wrong += sum(differences)
                seconds = time.perf_counter() - began
                sys.stdout.write(f"{case.name}, {kind.name}: {differences} differences, {seconds:.0f} s\n")
                sys.stdout.flush()
    sys.stdout.write(f"{wrong} differences in {products:,} dot products, {versions}, {datetime.date.today()}\n")


def show(case: Case, a, b, c, got, wanted, unequal) -> None:
    """Print the first differences with their factors."""
    for i, j in np.argwhere(unequal)[:3]:
        start = None if c is None else float(c[i, j])
        sys.stdout.write(f"  [{i}, {j}] {got[i, j]!r} {got[i, j].tobytes().hex()}, simulated {wanted[i, j]!r}")
        sys.stdout.write(f", from {start!r}\n")
        if case.shape[1] <= 32:
            sys.stdout.write(f"   a {a[i].tolist()}\n   b {b[:, j].tolist()}\n")


if __name__ == "__main__":
    main(sys.argv[1])
