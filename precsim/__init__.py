"""precsim: how many bits, for what, and when? A laboratory for precision scaling laws.

``import precsim as ps`` is light: every name below loads its module on first use, so that a
session that only fits a table never imports JAX, and one that only rounds never imports pandas.

The rooms, from the ground up (an import goes down only):

- values that everybody may use: `laws`, `numerics`, `runs`, `data`
- formulas, tables to laws, networks and recipes, weights in files: `symbolic`, `fitting`, `models`, `weights`
- decisions, and making runs: `planning`, `training`
- exercises, charts, what the runs say: `course`, `view`, `evidence`
- the command: `cli`
"""

from __future__ import annotations

from precsim.lazy import names

__version__ = "0.1.0"

#: Where each public name lives: module → names; "." is the module itself. One place; the tests walk it.
_HOMES = {
    "numerics.formats": (
        ". Format Specials Domain integer p3109 FP32 TF32 BF16 FP16 FP8_E4M3 FP8_E5M2 FP6_E2M3 FP6_E3M2 FP4_E2M1 E8M0 "
        "INT2 INT3 INT4 INT5 INT6 INT7 INT8 INT9 INT10 INT11 INT12 INT13 INT14 INT15 INT16"
    ),
    "numerics.rounding": (
        "Rounding Saturation NanRule Subnormals GivenBits CounterBits round_to encode decode ulp next_up next_down"
    ),
    "numerics.quantize": (
        "Quantizer PerTensor PerChannel PerToken PerBlock TwoLevel DoubleBlock ScaleRule sqnr clipped "
        "MXFP8 MXFP6 MXFP4 MXINT8 NVFP4 NF4 NF4_DOUBLE"
    ),
    "numerics.arithmetic": ".",
    "weights": ".",
    "runs": ". Run RunStore load_runs",
    "runs.slices": ".",
    "runs.envelope": ".",
    "data": ".",
    "laws": ". Law Chinchilla",
    "symbolic": ".",
    "fitting": "fit Fit FitError Status bootstrap interval predict profile compare",
    "fitting.misfit": ".",
    "planning": ". Hardware Budget Choice plan",
    "planning.design": ".",
    "planning.hardware": ".",
    "planning.serving": ".",
    "models": ". Recipe",
    "models.recipes": ".",
    "training.job": "Job",
    "training.engine": "train",
    "training.sweeps": "sweep Local Cores Accelerator",
    "training.optimizers": ".schedules",
    "training.languages": ".",
    "training.ptq": ".",
    "evidence.findings": ".",
    "evidence.paper": ".",
    "evidence.drift": ".",
    "evidence.unified": ".",
    "evidence.experiments.chapters": ".grids",
    "view": ".",
    "course": ".",
}
_load, __dir__, _names = names(__name__, _HOMES)
__all__ = sorted([*_names, "__version__"])


def __getattr__(name: str):
    value = _load(name)
    globals()[name] = value  # later look-ups skip this function
    return value
