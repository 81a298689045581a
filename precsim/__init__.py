"""precsim: how many bits, for what, and when? A laboratory for precision scaling laws.

``import precsim as ps`` is light: every name below loads its module on first use, so that a
session that only fits a table never imports JAX, and one that only rounds never imports pandas.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

#: Public name -> module that defines it. One place; the tests walk it.
_HOME = {
    name: module
    for module, names in {
        "formats": (
            "Format Specials FP32 TF32 BF16 FP16 FP8_E4M3 FP8_E5M2 FP6_E2M3 FP6_E3M2 FP4_E2M1 E8M0 "
            "INT2 INT3 INT4 INT5 INT6 INT7 INT8 INT9 INT10 INT11 INT12 INT13 INT14 INT15 INT16 Domain integer p3109"
        ),
        "rounding": (
            "Rounding Saturation NanRule Subnormals GivenBits CounterBits round_to encode decode ulp next_up next_down"
        ),
        "quantize": (
            "Quantizer PerTensor PerChannel PerToken PerBlock TwoLevel ScaleRule sqnr clipped "
            "MXFP8 MXFP6 MXFP4 MXINT8 NVFP4 NF4"
        ),
        "training": "Recipe Job train",
        "sweeps": "sweep Local Cores Accelerator",
        "runs": "Run RunStore load_runs",
        "laws": "Law Chinchilla",
        "fitting": "fit Fit FitError Status",
        "uncertainty": "bootstrap interval predict profile",
        "comparison": "compare",
        "planning": "Hardware Budget Choice plan",
    }.items()
    for name in names.split()
}
_MODULES = tuple(
    "arithmetic course data design drift envelope findings formats grids hardware languages laws misfit models paper "
    "planning ptq recipes runs schedules serving slices symbolic unified view".split()
)

__all__ = sorted([*_HOME, *_MODULES, "__version__"])


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"precsim.{name}")
    if name in _HOME:
        value = getattr(importlib.import_module(f"precsim.{_HOME[name]}"), name)
        globals()[name] = value  # later look-ups skip this function
        return value
    raise AttributeError(f"module 'precsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
