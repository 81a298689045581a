"""Rates of a GPU by format: ``python3 tests/bench/hardware_rates.py > precsim/data/h200_rates.csv`` (a minute).

PyTorch on the machine to be measured is all it needs. One row for each format, kind of operation and size: matrix
products with as many rows as a training step has, the same with the conversion of the activations in the measured time,
products with few rows as in serving, and copies of memory. Operands are normal random numbers, because products of
zeros draw less power and run faster than any real ones. Every product is compared with its float64 value on a sample.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

COLUMNS = (
    *("operation", "format", "bits", "m", "n", "k", "tflops", "bytes_per_second", "microseconds", "spread", "error"),
    *("how", "refused", "device", "torch", "cuda", "driver", "date"),
)
SQUARE = tuple((n, n, n) for n in (1024, 2048, 4096, 8192))
# (tokens, outputs, inputs) of the linear layers of Llama 3 8B and 70B: queries, keys and values together, the
# projection after attention, the two in front of the gate together, the one behind it.
LAYERS = tuple(
    (8192, n, k)
    for n, k in (
        *((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336)),
        *((10240, 8192), (57344, 8192), (8192, 28672)),
    )
)
SERVED = tuple((m, n, k) for n, k in ((57344, 8192), (8192, 28672)) for m in (1, 16, 64, 256))
BATCHES, SECONDS = 5, 0.02  # of each measurement, and of each batch of calls at least


@dataclass(frozen=True)
class Product:
    """Operands of one product, the call that is timed, and what the operands stand for."""

    call: Callable[[], Tensor]
    x: Tensor
    w: Tensor  # (n, k): the product is x wᵀ
    kept: float = 0.0  # bytes read and written at least


def normal(rows: int, columns: int, device: str) -> Tensor:
    return torch.randn(rows, columns, device=device)


def bytes_of(*tensors: Tensor) -> float:
    return float(sum(t.numel() * t.element_size() for t in tensors))


def floating(dtype: torch.dtype, tensor_float: bool = False):
    def make(m: int, n: int, k: int, device: str) -> Product:
        torch.backends.cuda.matmul.allow_tf32 = tensor_float
        x, w = normal(m, k, device).to(dtype), normal(n, k, device).to(dtype)
        return Product(lambda: x @ w.t(), x, w, kept=bytes_of(x, w) + m * n * x.element_size())

    return make


def eight_bit_floating(fast: bool):
    def make(m: int, n: int, k: int, device: str) -> Product:
        x, w = (normal(rows, k, device).to(torch.float8_e4m3fn) for rows in (m, n))
        one = torch.ones((), device=device)

        def call() -> Tensor:
            return torch._scaled_mm(x, w.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=fast)

        return Product(call, x, w, kept=bytes_of(x, w) + 2 * m * n)

    return make


def converted(m: int, n: int, k: int, device: str) -> Product:
    """Activations arrive in BF16: their largest magnitude, the scaling and the rounding are part of the time."""
    x, w = normal(m, k, device).bfloat16(), normal(n, k, device).to(torch.float8_e4m3fn)
    one, largest = torch.ones((), device=device), torch.finfo(torch.float8_e4m3fn).max

    def call() -> Tensor:
        scale = (x.abs().max() / largest).float()
        low = (x / scale.to(x.dtype)).clamp(-largest, largest).to(torch.float8_e4m3fn)
        return torch._scaled_mm(low, w.t(), scale_a=scale, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=True)

    return Product(call, x, w, kept=bytes_of(x, w) + 2 * m * n)


def eight_bit_integer(m: int, n: int, k: int, device: str) -> Product:
    x, w = (torch.randint(-127, 128, (rows, k), device=device, dtype=torch.int8) for rows in (m, n))
    return Product(lambda: torch._int_mm(x, w.t()), x, w, kept=bytes_of(x, w) + 4 * m * n)


def four_bit_weights(m: int, n: int, k: int, device: str, group: int = 128) -> Product:
    """BF16 activations, weights of four bits in groups of 128 with a scale and a zero each."""
    levels = torch.randint(0, 16, (n, k), device=device, dtype=torch.int32)
    packed = (levels[:, ::2] << 4 | levels[:, 1::2]).to(torch.uint8)
    weights = torch.ops.aten._convert_weight_to_int4pack(packed, 8)
    scales = torch.zeros(k // group, n, 2, device=device, dtype=torch.bfloat16)
    scales[..., 0] = 1 / 8
    x = normal(m, k, device).bfloat16()
    meant = (levels.to(torch.bfloat16) - 8) / 8

    def call() -> Tensor:
        return torch.ops.aten._weight_int4pack_mm(x, weights, group, scales)

    return Product(call, x, meant, kept=bytes_of(x, scales) + n * k / 2 + 2 * m * n)


def four_bit_floating(m: int, n: int, k: int, device: str) -> Product:
    """Two E2M1 numbers a byte, with a scale in E4M3 for each 16."""
    x, w = (
        torch.randint(0, 256, (rows, k // 2), device=device, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
        for rows in (m, n)
    )
    scales = [torch.ones(rows * k // 16, device=device).to(torch.float8_e4m3fn) for rows in (m, n)]

    def call() -> Tensor:
        return torch._scaled_mm(x, w.t(), scale_a=scales[0], scale_b=scales[1], out_dtype=torch.bfloat16)

    return Product(call, x, w, kept=(m + n) * k / 2 + 2 * m * n)


TRAINING = (
    ("FP32", 32, "torch.mm", floating(torch.float32)),
    ("TF32", 19, "torch.mm, allow_tf32", floating(torch.float32, tensor_float=True)),
    ("BF16", 16, "torch.mm", floating(torch.bfloat16)),
    ("FP16", 16, "torch.mm", floating(torch.float16)),
    ("FP8_E4M3", 8, "torch._scaled_mm, fast accumulation", eight_bit_floating(fast=True)),
    ("FP8_E4M3", 8, "torch._scaled_mm, exact accumulation", eight_bit_floating(fast=False)),
    ("INT8", 8, "torch._int_mm", eight_bit_integer),
    ("FP4_E2M1", 4, "torch._scaled_mm", four_bit_floating),
)
CONVERTING = (("FP8_E4M3", 8, "largest magnitude, cast, torch._scaled_mm", converted),)
SERVING = (
    ("BF16", 16, "torch.mm", floating(torch.bfloat16)),
    ("FP8_E4M3", 8, "torch._scaled_mm, fast accumulation", eight_bit_floating(fast=True)),
    ("INT8", 8, "torch._int_mm", eight_bit_integer),
    ("INT4", 4, "torch._weight_int4pack_mm: four-bit weights, BF16 activations", four_bit_weights),
)


def seconds(call: Callable[[], Any], device: str) -> tuple[float, float]:
    """Median time of a call over batches, and the slowest batch over the fastest."""
    if device == "cpu":
        import time

        began = time.perf_counter()
        call()
        return time.perf_counter() - began, 1.0
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def batch(calls: int) -> float:
        begin.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3 / calls

    batch(3)  # compile, choose a kernel, fill the caches
    calls = max(1, int(SECONDS / max(batch(3), 1e-7)))
    times = [batch(calls) for _ in range(BATCHES)]
    return median(times), max(times) / min(times)


def error_of(product: Product, found: Tensor) -> float:
    """Root-mean-square error of up to 16 rows and 256 columns relative to their root mean square in float64."""
    rows, columns = slice(0, 16), slice(0, 256)
    exact = product.x[rows].double() @ product.w[columns].double().t()
    gap = found[rows, columns].double() - exact
    return float(gap.square().mean().sqrt() / exact.square().mean().sqrt())


def products(operation: str, formats, sizes, device: str) -> Iterator[dict[str, Any]]:
    for name, bits, how, make in formats:
        for m, n, k in sizes:
            row = {"operation": operation, "format": name, "bits": bits, "m": m, "n": n, "k": k, "how": how}
            try:
                product = make(m, n, k, device)
                error = error_of(product, product.call())
                time, spread = seconds(product.call, device)
            except (RuntimeError, ValueError, AttributeError, NotImplementedError, TypeError) as failure:
                yield row | {"refused": " ".join(str(failure).split())[:160]}
                if name.startswith("FP4"):
                    break
                continue
            yield row | {
                "tflops": f"{2 * m * n * k / time / 1e12:.2f}",
                "bytes_per_second": f"{product.kept / time:.4g}",
                "microseconds": f"{time * 1e6:.2f}",
                "spread": f"{spread:.3f}",
                "error": f"{error:.2e}",
            }
            del product


def copies(device: str, size: int) -> Iterator[dict[str, Any]]:
    """Copy one array into another, and read one, of `size` bytes each."""
    a, b = (torch.randn(size // 4, device=device) for _ in range(2))
    for operation, how, call, moved in (
        ("copy", "Tensor.copy_; bytes read and written", lambda: b.copy_(a), 2 * size),
        ("read", "torch.sum; bytes read", lambda: a.sum(), size),
    ):
        time, spread = seconds(call, device)
        yield {
            "operation": operation,
            "format": "FP32",
            "bits": 32,
            "how": how,
            "bytes_per_second": f"{moved / time:.4g}",
            "microseconds": f"{time * 1e6:.2f}",
            "spread": f"{spread:.3f}",
        }


def driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes on the CPU: whether it runs, not how fast")
    device = "cpu" if parser.parse_args().rehearse else "cuda"
    small = device == "cpu"
    stamp = {
        "device": "cpu" if small else torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "driver": "" if small else driver(),
        "date": datetime.date.today().isoformat(),
    }
    torch.manual_seed(0)
    trained = ((32, 64, 128),) if small else SQUARE + LAYERS
    served = ((1, 64, 128), (32, 64, 128)) if small else SERVED
    out = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    out.writeheader()
    for rows in (
        products("product", TRAINING, trained, device),
        products("conversion and product", CONVERTING, trained, device),
        products("product of few rows", SERVING, served, device),
        copies(device, 2**20 if small else 2**32),
    ):
        for row in rows:
            out.writerow(row | stamp)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
