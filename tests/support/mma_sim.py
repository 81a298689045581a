"""What MMA-Sim gives for the units that were not measured here: digests for tests/reference/mmasim.csv.

Run where mmasim 2.1.1 and PyTorch are installed::

    python -m tests.support.mma_sim OUT.csv

Factors and accumulators are drawn from a seed; the SHA-256 is of the results as little-endian float32 or float16.
"""

from __future__ import annotations

import csv
import hashlib
import sys

import numpy as np

from precsim.numerics import E8M0, FP4_E2M1, FP8_E4M3, FP16, encode
from precsim.numerics.arithmetic import matmul
from precsim.numerics.matrix_unit import MatrixUnit
from precsim.numerics.named_units import UNITS
from tests.support.matrix_inputs import Kind, accumulators, factors

ROWS, COLUMNS = 64, 48
INSTRUCTIONS = {
    "V100_FP16": ("MMA", "Volta", "m8n8k4.f32.f16.f16.f32"),
    "T4_FP16": ("MMA", "Turing", "m16n8k8.f32.f16.f16.f32"),
    "A100_FP16": ("MMA", "Ampere", "m16n8k16.f32.f16.f16.f32"),
    "A100_BF16": ("MMA", "Ampere", "m16n8k16.f32.bf16.bf16.f32"),
    "A100_TF32": ("MMA", "Ampere", "m16n8k8.f32.tf32.tf32.f32"),
    "A100_FP16_ACCUMULATE": ("MMA", "Ampere", "m16n8k16.f16.f16.f16.f16"),
    "ADA_FP8": ("MMA", "Ada Lovelace", "m16n8k32.f32.e4m3.e4m3.f32"),
    "ADA_FP16": ("MMA", "Ada Lovelace", "m16n8k16.f32.f16.f16.f32"),
    "ADA_BF16": ("MMA", "Ada Lovelace", "m16n8k16.f32.bf16.bf16.f32"),
    "ADA_TF32": ("MMA", "Ada Lovelace", "m16n8k8.f32.tf32.tf32.f32"),
    "H100_FP8": ("WGMMA", "Hopper", "m64n8k32.f32.e4m3.e4m3"),
    "H100_BF16": ("WGMMA", "Hopper", "m64n8k16.f32.bf16.bf16"),
    "H100_FP16": ("WGMMA", "Hopper", "m64n8k16.f32.f16.f16"),
    "H100_TF32": ("WGMMA", "Hopper", "m64n8k8.f32.tf32.tf32"),
    "H100_FP16_ACCUMULATE": ("WGMMA", "Hopper", "m64n8k16.f16.f16.f16"),
    "B200_FP8": ("TCGen05MMA", "Blackwell", "m64n8k32.kind::f8f6f4.f32.e4m3.e4m3"),
    "B200_FP16": ("TCGen05MMA", "Blackwell", "m64n8k16.kind::f16.f32.f16.f16"),
    "B200_BF16": ("TCGen05MMA", "Blackwell", "m64n8k16.kind::f16.f32.bf16.bf16"),
    "B200_TF32": ("TCGen05MMA", "Blackwell", "m64n8k8.kind::tf32.f32.tf32.tf32"),
    "B200_MXFP8": ("TCGen05MMABlockScale", "Blackwell", "m128n8k32.kind::mxf8f6f4.block32.f32.e4m3.e4m3.ue8m0"),
    "B200_MXFP4": ("TCGen05MMABlockScale", "Blackwell", "m128n8k64.kind::mxf4.block32.f32.e2m1.e2m1.ue8m0"),
    "B200_NVFP4": ("TCGen05MMABlockScale", "Blackwell", "m128n8k64.kind::mxf4nvf4.block16.f32.e2m1.e2m1.ue4m3"),
    "CDNA3_FP16": ("MFMA", "CDNA3", "f32_16x16x16_f16"),
    "CDNA3_BF16": ("MFMA", "CDNA3", "f32_16x16x16_bf16"),
    "CDNA3_XF32": ("MFMA", "CDNA3", "f32_16x16x8_xf32"),
    "CDNA3_FP8": ("MFMA", "CDNA3", "f32_16x16x32_fp8_fp8"),
}


def inputs(unit: MatrixUnit, kind: Kind):
    """Factors, accumulators and scales (or None) of one row of the table."""
    rng = np.random.default_rng([*f"{unit.name} {kind.name}".encode()])
    depth = unit.terms if unit.scales is not None else 2 * unit.terms
    a, b = factors(kind, unit.left, unit.right, (ROWS, depth, COLUMNS), rng)
    c = accumulators(kind, unit.output is FP16, (ROWS, COLUMNS), rng)
    if unit.scales is None:
        return a, b, c, None
    blocks = depth // unit.scales.size
    sizes = (ROWS, blocks), (blocks, COLUMNS)
    if unit.scales.format is E8M0:
        low, high = {Kind.TINY: (-127, 0), Kind.HUGE: (30, 128)}.get(kind, (-8, 9))
        return a, b, c, tuple((2.0 ** rng.integers(low, high, s)).astype(np.float32) for s in sizes)
    values = FP8_E4M3.values()
    values = values[values >= 0]
    last = {Kind.TINY: 20, Kind.HUGE: len(values)}.get(kind, 100)
    return a, b, c, tuple(values[rng.integers(0, last, s)].astype(np.float32) for s in sizes)


def expected(unit: MatrixUnit, kind: Kind) -> np.ndarray:
    """The simulated unit's results."""
    a, b, c, scales = inputs(unit, kind)
    return matmul(a, b, unit, start=c, scales=scales)


def digest(results: np.ndarray) -> str:
    """SHA-256 of the results as little-endian bytes."""
    return hashlib.sha256(np.ascontiguousarray(results).data).hexdigest()


def kinds(unit: MatrixUnit) -> list[Kind]:
    """The kinds of numbers for a unit; all bit patterns of FP4 are finite."""
    return [k for k in Kind if k is not Kind.PAIRS and not (k is Kind.BITS and not unit.left.has_nan)]


def theirs(unit: MatrixUnit, kind: Kind) -> np.ndarray:
    """MMA-Sim's results."""
    import mmasim.amd
    import mmasim.nv_ptx
    import torch

    name, generation, form = INSTRUCTIONS[unit.name]
    simulator = getattr(mmasim.amd if name == "MFMA" else mmasim.nv_ptx, name)(generation, form)
    a, b, c, scales = inputs(unit, kind)
    torch_types = {
        "FP8_E4M3": torch.float8_e4m3fn, "FP8_E4M3_FNUZ": torch.float8_e4m3fnuz, "E8M0": torch.float8_e8m0fnu,
        "BF16": torch.bfloat16, "FP16": torch.float16,
    }  # fmt: skip

    def tensor(values, fmt):
        if fmt.name not in torch_types:
            return torch.from_numpy(values)
        codes = encode(values, fmt)
        return torch.from_numpy(codes.view(f"i{codes.itemsize}")).view(torch_types[fmt.name])

    def packed(values):
        codes = encode(values, FP4_E2M1)
        return torch.from_numpy(codes[:, ::2] << 4 | codes[:, 1::2])

    if unit.left is FP4_E2M1:
        factors_of = packed(a), packed(np.ascontiguousarray(b.T)).T
    else:
        factors_of = tensor(a, unit.left), tensor(b, unit.right)
    more = () if scales is None else tuple(tensor(s, unit.scales.format) for s in scales)
    return simulator(*factors_of, torch.from_numpy(c), *more).numpy()


def main(path: str) -> None:
    """Write one row for each unit and kind, and print the differences."""
    with open(path, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["unit", "kind", "sha256"])
        for unit in UNITS:
            for kind in kinds(unit):
                try:
                    got = theirs(unit, kind)
                except Exception as error:
                    sys.stdout.write(f"{unit} {kind.name}: {type(error).__name__} {error}\n")
                    continue
                wanted = expected(unit, kind)
                codes = f"u{got.itemsize}"
                unequal = got.view(codes) != wanted.view(codes)
                table.writerow([unit.name, kind.name, digest(got)])
                if unequal.any():
                    i, j = np.argwhere(unequal)[0]
                    text = f"{got[i, j]!r} {got[i, j].tobytes().hex()}, simulated {wanted[i, j]!r}"
                    sys.stdout.write(f"{unit} {kind.name}: {unequal.sum()} differences, first {text}\n")
        sys.stdout.write("done\n")


if __name__ == "__main__":
    main(sys.argv[1])
