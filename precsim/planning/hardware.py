"""Machines: what they multiply at each width, store and move, from data sheets and from our own measurement."""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from statistics import median
from types import MappingProxyType

from precsim.equality import Record

__all__ = [
    "A100",
    "B200",
    "H100",
    "H200",
    "HARDWARE",
    "MI300X",
    "TPU_V5P",
    "Hardware",
    "Operation",
    "Rate",
    "measured_h200",
    "rates",
]

_REFERENCE = 16.0  # bits at which a FLOP costs one FLOP: the paper's C = 6 N D at 16 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """A device: what it computes at each width, stores and moves, with the source of the numbers.

    Attributes
    ----------
    name : str
    peak : mapping of float to float
        Operand width [bits] → dense peak [FLOP/s or integer operations/s].
    memory : float
        [bytes]
    bandwidth : float
        [bytes/s]
    source : str
        Where the numbers stand.
    utilization : float
        Share of the peak that training reaches; 0.4 is common practice, not a property of the device.

    Examples
    --------
    >>> toy = Hardware(name="toy", peak={16: 1e12, 8: 2e12}, memory=8e9, bandwidth=1e11, source="made up")
    >>> toy.price(8), toy.price(4), toy.price(12)
    (0.5, 0.5, 1.0)
    """

    name: str
    peak: Mapping[float, float]
    memory: float
    bandwidth: float
    source: str
    utilization: float = 0.4

    def __post_init__(self):
        object.__setattr__(self, "peak", MappingProxyType({float(k): float(v) for k, v in self.peak.items()}))
        if not 0 < self.utilization <= 1:
            raise ValueError(f"utilization must be in (0, 1], got {self.utilization}")

    def rate(self, bits: float) -> float:
        """Peak at operands of `bits` bits: that of the narrowest width the device has which holds them [FLOP/s].

        Raises
        ------
        ValueError
            If the operands are wider than anything the device multiplies.
        """
        able = [w for w in self.peak if w >= bits]
        if not able:
            widths = ", ".join(f"{w:g}" for w in sorted(self.peak))
            raise ValueError(f"{self.name} has no products of {bits:g}-bit operands; it has {widths} bits")
        return self.peak[min(able)]

    def has(self, bits: float) -> bool:
        """Whether the device multiplies operands of exactly this width; else it gains nothing over the next one."""
        return float(bits) in self.peak

    def price(self, bits: float) -> float:
        """Time of a FLOP at this width relative to 16 bits: a width the device lacks is no cheaper than the next."""
        return self.rate(_REFERENCE) / self.rate(bits)


_GB, _TB, _T = 1e9, 1e12, 1e12

A100 = Hardware(
    name="A100 SXM 80GB",
    peak={16: 312 * _T, 8: 624 * _T, 4: 1248 * _T},
    memory=80 * _GB,
    bandwidth=2.039 * _TB,
    source="NVIDIA A100 Tensor Core GPU data sheet, 2021 (dense; 8 and 4 bits are integers)",
)
H100 = Hardware(
    name="H100 SXM",
    peak={16: 989.4 * _T, 8: 1978.9 * _T},
    memory=80 * _GB,
    bandwidth=3.35 * _TB,
    source="NVIDIA H100 Tensor Core GPU architecture white paper, SXM5 (dense; 8 bits FP8 or INT8)",
)
H200 = Hardware(
    name="H200 SXM",
    peak={16: 989.4 * _T, 8: 1978.9 * _T},
    memory=141 * _GB,
    bandwidth=4.8 * _TB,
    source="NVIDIA H200 Tensor Core GPU data sheet (dense: half of the printed sparse figures)",
)
B200 = Hardware(
    name="B200 SXM",
    peak={16: 2250 * _T, 8: 4500 * _T, 4: 9000 * _T},
    memory=180 * _GB,
    bandwidth=7.7 * _TB,
    source="NVIDIA Blackwell data sheet, one GPU of HGX B200 (half of the printed sparse figures; 4 bits FP4)",
)
MI300X = Hardware(
    name="MI300X",
    peak={16: 1307.4 * _T, 8: 2614.9 * _T},
    memory=192 * _GB,
    bandwidth=5.3 * _TB,
    source="AMD Instinct MI300X data sheet (dense; printed with sparsity as twice as much)",
)
TPU_V5P = Hardware(
    name="TPU v5p",
    peak={16: 459 * _T, 8: 918 * _T},
    memory=95 * 2**30,
    bandwidth=2.765 * _TB,
    source="Google Cloud TPU documentation, v5p: 459 TFLOP/s BF16, the same for FP8; 8 bits are INT8, 918 TOP/s",
)


class Operation(Enum):
    """What was timed on the device: a product, a conversion, a read of memory."""

    PRODUCT = "product"
    CONVERTED = "conversion and product"
    FEW_ROWS = "product of few rows"
    COPY = "copy"
    READ = "read"


@dataclass(frozen=True, slots=True, eq=False)
class Rate(Record):
    """One measurement on a device.

    Attributes
    ----------
    operation : Operation
    format : str
        Of the operands; for `Operation.FEW_ROWS` in INT4 of the weights alone.
    bits : float
        Width of that format.
    shape : tuple of int
        (rows, outputs, inputs) of a product; empty for copies.
    flops : float
        [FLOP/s or integer operations/s]; NaN for copies and refused products.
    bytes_per_second : float
        Operands and result, each counted once.
    seconds : float
        Of one operation, the median over batches; NaN where it was refused.
    error : float
        Root-mean-square error of the product relative to its own root mean square.
    how : str
        Function that was called.
    refused : str
        What the library said where it has no such product.
    device, date : str
    """

    operation: Operation
    format: str
    bits: float
    shape: tuple[int, ...]
    flops: float
    bytes_per_second: float
    seconds: float
    error: float
    how: str
    refused: str
    device: str
    date: str


@functools.cache
def rates() -> tuple[Rate, ...]:
    """Every measurement on an H200, in the order in which it was made.

    Examples
    --------
    >>> read = next(r for r in rates() if r.operation is Operation.READ)
    >>> 4e12 < read.bytes_per_second < H200.bandwidth
    True
    """
    text = files("precsim.data").joinpath("h200_rates.csv").read_text(encoding="utf-8")
    return tuple(map(_rate, csv.DictReader(text.splitlines())))


def _rate(row: Mapping[str, str]) -> Rate:
    def number(name: str, unit: float = 1.0) -> float:
        return float(row[name]) * unit if row[name] else float("nan")

    shape = tuple(int(row[x]) for x in "mnk" if row[x])
    return Rate(
        Operation(row["operation"]),
        row["format"],
        float(row["bits"]),
        shape,
        number("tflops", 1e12),
        number("bytes_per_second"),
        number("microseconds", 1e-6),
        number("error"),
        row["how"],
        row["refused"],
        row["device"],
        row["date"],
    )


def _layers(operation: Operation, name: str) -> float:
    """Median rate over the shapes of transformer layers: neither square nor small [FLOP/s]; the fastest kernel."""
    by_kernel: dict[str, list[float]] = {}
    for r in rates():
        if r.operation is operation and r.format == name and not r.refused and len(set(r.shape)) > 1:
            by_kernel.setdefault(r.how, []).append(r.flops)
    return max(map(median, by_kernel.values()))


@functools.cache
def measured_h200(*, conversion: bool = False) -> Hardware:
    """An H200 by the rates that PyTorch reached on it, medians over the linear layers of Llama 3 8B and 70B.

    Parameters
    ----------
    conversion : bool
        Whether 8-bit products include finding the largest activation, scaling and rounding, unfused, as they must
        be paid in training unless a kernel hides them.

    Notes
    -----
    The share of the rate that training reaches is set so that 16-bit training is as fast as on the data sheet's
    device at its share: the measurement is of products, not of training.

    Examples
    --------
    >>> 0.5 < measured_h200().price(8) < measured_h200(conversion=True).price(8) < 1
    True
    """
    full = _layers(Operation.PRODUCT, "BF16")
    eight = _layers(Operation.CONVERTED if conversion else Operation.PRODUCT, "FP8_E4M3")
    peak = {32.0: _layers(Operation.PRODUCT, "FP32"), 19.0: _layers(Operation.PRODUCT, "TF32"), 16.0: full, 8.0: eight}
    read = next(r for r in rates() if r.operation is Operation.READ)
    how = "FP8 with conversion of activations" if conversion else "8 bits FP8"
    return Hardware(
        name="H200, measured" + (" with conversion" if conversion else ""),
        peak=peak,
        memory=H200.memory,
        bandwidth=read.bytes_per_second,
        source=f"products and reads measured on {read.device}, {read.date}: precsim/data/h200_rates.csv ({how})",
        utilization=H200.utilization * H200.rate(16) / full,
    )


class _Devices(Mapping[str, Hardware]):
    """Devices by name; the measured ones read their file when they are first asked for."""

    def __init__(self, devices: Mapping[str, Hardware | Callable[[], Hardware]]):
        self._devices = dict(devices)

    def __getitem__(self, name: str) -> Hardware:
        found = self._devices[name]
        return found if isinstance(found, Hardware) else found()

    def __iter__(self) -> Iterator[str]:
        return iter(self._devices)

    def __len__(self) -> int:
        return len(self._devices)


#: Names on the command line → devices.
HARDWARE: Mapping[str, Hardware] = _Devices(
    {
        "a100": A100,
        "h100": H100,
        "h200": H200,
        "b200": B200,
        "mi300x": MI300X,
        "tpu-v5p": TPU_V5P,
        "h200-measured": measured_h200,
        "h200-converting": functools.partial(measured_h200, conversion=True),
    }
)
