"""Matrix units of GPUs by name, each with the source of its rules.

Those of the H100 were compared with the hardware by this project (``tests/hardware/matrix_units.py``, digests in
``tests/reference/matrix_units.csv``). All others follow the published rules of MMA-Sim and are compared with that
program (``tests/reference/mmasim.csv``), not with hardware.

Examples
--------
>>> print(unit_table(H100_FP8, A100_BF16))
| unit | factors | products at once | fraction bits | accumulator | rules |
| --- | --- | ---: | ---: | --- | --- |
| H100_FP8 | FP8_E4M3, FP8_E5M2 | 32 | 13 | E8M13, toward zero | measured here |
| A100_BF16 | BF16 | 8 + 8 | 24 | FP32, toward zero | from the literature |
"""

from __future__ import annotations

from precsim.numerics.binary_format import Format
from precsim.numerics.formats import (
    BF16,
    E8M0,
    FP4_E2M1,
    FP6_E2M3,
    FP6_E3M2,
    FP8_E4M3,
    FP8_E4M3_FNUZ,
    FP8_E5M2,
    FP8_E5M2_FNUZ,
    FP16,
    FP32,
    TF32,
)
from precsim.numerics.matrix_unit import E8M13, BlockScales, Evidence, Join, MatrixUnit
from precsim.numerics.modes import Rounding

__all__ = [
    "A100_BF16",
    "A100_FP16",
    "A100_FP16_ACCUMULATE",
    "A100_TF32",
    "ADA_BF16",
    "ADA_FP8",
    "ADA_FP16",
    "ADA_TF32",
    "B200_BF16",
    "B200_FP8",
    "B200_FP16",
    "B200_MXFP4",
    "B200_MXFP8",
    "B200_NVFP4",
    "B200_TF32",
    "CDNA3_BF16",
    "CDNA3_FP8",
    "CDNA3_FP16",
    "CDNA3_XF32",
    "H100_BF16",
    "H100_FP8",
    "H100_FP16",
    "H100_FP16_ACCUMULATE",
    "H100_TF32",
    "T4_FP16",
    "UNITS",
    "V100_FP16",
    "unit_table",
]

_MMA_SIM = "Xie et al. 2025, MMA-Sim (arXiv:2511.10909), program version 2.1.1"
_HERE = "tests/reference/matrix_units.csv: digests of H100 and H200 results"


def unit_table(*units: MatrixUnit) -> str:
    """Return a Markdown table of units.

    Examples
    --------
    >>> print(unit_table(V100_FP16).splitlines()[-1])
    | V100_FP16 | FP16 | 4 | 23 | FP32, toward zero | from the literature |
    """
    rows = ["| unit | factors | products at once | fraction bits | accumulator | rules |"]
    rows.append("| --- | --- | ---: | ---: | --- | --- |")
    for unit in units:
        rounding = "nearest-even" if unit.rounding is Rounding.NEAREST_EVEN else "toward zero"
        at_once = " + ".join([str(unit.terms // unit.split)] * unit.split)
        cells = (unit.name, ", ".join(map(str, unit.accepts)), at_once, str(unit.fraction_bits))
        rows.append("| " + " | ".join((*cells, f"{unit.output}, {rounding}", unit.evidence.value)) + " |")
    return "\n".join(rows)


def _hopper(name: str, accepts: tuple[Format, ...], terms: int, fraction_bits: int, output: Format) -> MatrixUnit:
    return MatrixUnit(
        name=name,
        left=accepts[0],
        right=accepts[0],
        accepts=accepts,
        terms=terms,
        fraction_bits=fraction_bits,
        least_exponent=-21 if output is FP16 else -133,
        output=output,
        rounding=Rounding.NEAREST_EVEN if output is FP16 else Rounding.TOWARD_ZERO,
        evidence=Evidence.MEASURED,
        source=_HERE,
    )


def _published(name: str, accepts: tuple[Format, ...], terms: int, fraction_bits: int, **other) -> MatrixUnit:
    """A unit of NVIDIA that was not measured here; a zero's exponent falls with the fraction bits."""
    output = other.setdefault("output", FP32)
    least = (-14 if output is FP16 else -126) - 5 - (max(fraction_bits, 23) - 23)
    if fraction_bits == 13:
        least = -132
    other.setdefault("least_exponent", least)
    return MatrixUnit(
        name=name,
        left=accepts[0],
        right=accepts[0],
        accepts=accepts,
        terms=terms,
        fraction_bits=fraction_bits,
        evidence=Evidence.LITERATURE,
        source=_MMA_SIM,
        **other,
    )


def _amd(name: str, accepts: tuple[Format, ...], terms: int, join: Join) -> MatrixUnit:
    return _published(
        name, accepts, terms, 24, join=join, least_exponent=-126, output=FP32, rounding=Rounding.NEAREST_EVEN
    )


_FP8 = (FP8_E4M3, FP8_E5M2)
_NARROW = (FP8_E4M3, FP8_E5M2, FP6_E3M2, FP6_E2M3, FP4_E2M1)
_HALF = {"output": FP16, "rounding": Rounding.NEAREST_EVEN}

H100_FP8 = _hopper("H100_FP8", _FP8, 32, 13, E8M13)
H100_BF16 = _hopper("H100_BF16", (BF16,), 16, 25, FP32)
H100_FP16 = _hopper("H100_FP16", (FP16,), 16, 25, FP32)
H100_TF32 = _hopper("H100_TF32", (TF32,), 8, 25, FP32)
H100_FP16_ACCUMULATE = _hopper("H100_FP16_ACCUMULATE", (FP16,), 16, 25, FP16)

V100_FP16 = _published("V100_FP16", (FP16,), 4, 23)
T4_FP16 = _published("T4_FP16", (FP16,), 8, 24)
A100_FP16 = _published("A100_FP16", (FP16,), 16, 24, split=2)
A100_BF16 = _published("A100_BF16", (BF16,), 16, 24, split=2)
A100_TF32 = _published("A100_TF32", (TF32,), 8, 24, split=2)
A100_FP16_ACCUMULATE = _published("A100_FP16_ACCUMULATE", (FP16,), 16, 24, split=2, **_HALF)
ADA_FP8 = _published("ADA_FP8", _FP8, 32, 13, split=2, output=E8M13)
ADA_FP16 = _published("ADA_FP16", (FP16,), 16, 24, split=2)
ADA_BF16 = _published("ADA_BF16", (BF16,), 16, 24, split=2)
ADA_TF32 = _published("ADA_TF32", (TF32,), 8, 24, split=2)
B200_FP8 = _published("B200_FP8", _NARROW, 32, 25)
B200_FP16 = _published("B200_FP16", (FP16,), 16, 25)
B200_BF16 = _published("B200_BF16", (BF16,), 16, 25)
B200_TF32 = _published("B200_TF32", (TF32,), 8, 25)
B200_MXFP8 = _published("B200_MXFP8", _NARROW, 32, 25, scales=BlockScales(E8M0, 32))
B200_MXFP4 = _published("B200_MXFP4", (FP4_E2M1,), 64, 35, scales=BlockScales(E8M0, 32, 16), least_exponent=-139)
B200_NVFP4 = _published("B200_NVFP4", (FP4_E2M1,), 64, 35, scales=BlockScales(FP8_E4M3, 16, 16), least_exponent=-139)
CDNA3_FP16 = _amd("CDNA3_FP16", (FP16,), 8, Join.AFTERWARDS)
CDNA3_BF16 = _amd("CDNA3_BF16", (BF16,), 8, Join.AFTERWARDS)
CDNA3_XF32 = _amd("CDNA3_XF32", (TF32,), 4, Join.AFTERWARDS)
CDNA3_FP8 = _amd("CDNA3_FP8", (FP8_E4M3_FNUZ, FP8_E5M2_FNUZ), 16, Join.AFTER_PAIRS)

UNITS: tuple[MatrixUnit, ...] = tuple(v for v in list(globals().values()) if isinstance(v, MatrixUnit))
