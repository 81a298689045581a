"""The table of wrong values that the book shows: every line as found now, where the peer is installed."""

import csv
import importlib.metadata
import importlib.util
import math
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest

import precsim as ps
from precsim.numerics import TwoLevelRule
from tests.bench.peers.rounders import installed
from tests.bench.peers.wrong_values import WRONG

with (Path(ps.__file__).parent / "data" / "peers_wrong.csv").open(newline="") as _file:
    STORED = list(csv.DictReader(_file))


def alike(a, b):
    return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))


def test_every_line_is_in_the_stored_table_with_its_right_value():
    assert [(row["peer"], row["task"]) for row in STORED] == [(line.peer, line.task) for line in WRONG]
    for row, line in zip(STORED, WRONG, strict=True):
        assert alike(float(row["right_value"]), line.right_value())
        assert not alike(float(row["peers_value"]), float(row["right_value"]))


@pytest.mark.filterwarnings("ignore")  # the peers' own
@pytest.mark.parametrize("line", WRONG, ids=lambda w: f"{w.peer}-{w.task}")
def test_peer_gives_the_wrong_value(line):
    if not installed(line.peer):
        pytest.skip(f"{line.peer} is not installed: tests/bench/peers/requirements.txt")
    row = next(r for r in STORED if (r["peer"], r["task"]) == (line.peer, line.task))
    if importlib.metadata.version(line.peer) != row["version"]:
        pytest.skip(f"the table is about {line.peer} {row['version']}")
    assert alike(line.peers_value(), float(row["peers_value"]))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not installed("torchao"), reason="torchao is not installed: tests/bench/peers/requirements.txt")
class TestAgainstTorchao:
    """Quantizers that promise torchao's arithmetic, bit for bit."""

    def test_two_level_scales(self, rng):
        import torch
        from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor, per_tensor_amax_to_scale

        quantizer = ps.Quantizer(ps.FP4_E2M1, ps.TwoLevel(16, rule=TwoLevelRule.TORCHAO))
        for spread in (0, 20, 60):
            powers = 2.0 ** rng.integers(-spread, spread + 1, (512, 16)).repeat(16, axis=1)
            x = (rng.standard_normal((512, 256)) * powers).astype(np.float32)
            tensor = torch.from_numpy(x)
            shared = per_tensor_amax_to_scale(tensor.abs().max())
            theirs = NVFP4Tensor.to_nvfp4(tensor, per_tensor_scale=shared).dequantize(torch.float32).numpy()
            assert np.array_equal(quantizer(x).view(np.int32), theirs.view(np.int32))

    @pytest.mark.parametrize("rule", list(ps.ScaleRule))
    @pytest.mark.parametrize("fmt", [ps.FP8_E4M3, ps.FP8_E5M2, ps.FP6_E2M3, ps.FP6_E3M2, ps.FP4_E2M1], ids=str)
    def test_blocks_under_each_rule(self, fmt, rule, rng):
        import torch
        from torchao.prototype.mx_formats.constants import DTYPE_FP6_E2M3, DTYPE_FP6_E3M2
        from torchao.prototype.mx_formats.mx_tensor import ScaleCalculationMode, to_dtype, to_mx

        kind = {
            "FP8_E4M3": torch.float8_e4m3fn, "FP8_E5M2": torch.float8_e5m2, "FP6_E2M3": DTYPE_FP6_E2M3,
            "FP6_E3M2": DTYPE_FP6_E3M2, "FP4_E2M1": torch.float4_e2m1fn_x2,
        }[fmt.name]  # fmt: skip
        powers = np.ldexp(1.0, rng.integers(-90, 90, 400)).astype(np.float32)
        tops = np.concatenate([powers, powers * np.float32(fmt.maximum / 2.0**fmt.emax)])
        beside = [np.nextafter(tops, np.float32(0))]
        if rule is not ps.ScaleRule.RCEIL:  # torchao takes a logarithm there: wrong just above a threshold
            beside.append(np.nextafter(tops, np.float32(np.inf)))
        tops = np.concatenate([tops, *beside])
        x = (rng.uniform(-1, 1, (tops.size, 32)) * tops[:, None]).astype(np.float32)
        x[:, 5] = tops
        x = np.concatenate([x, rng.standard_normal((4000, 32)).astype(np.float32)])
        scale, data = to_mx(torch.from_numpy(x), kind, 32, ScaleCalculationMode[rule.name])
        theirs = to_dtype(data, scale, kind, 32, torch.float32).numpy()
        mine = ps.Quantizer(fmt, ps.PerBlock(32, scale_format=ps.E8M0, rule=rule))(x)
        assert np.array_equal(mine.view(np.int32), theirs.view(np.int32))


def transformer_engine_reference(monkeypatch):
    """Load the Python reference of TransformerEngine's NVFP4 from its wheel, without its compiled half."""
    found = importlib.util.find_spec("transformer_engine")
    assert found is not None
    assert found.origin is not None
    folder, recipes = (
        Path(found.origin).parent / "pytorch" / "custom_recipes",
        "transformer_engine.pytorch.custom_recipes",
    )

    def load(name):
        spec = importlib.util.spec_from_file_location(f"{recipes}.{name}", folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    names = ("transformer_engine", "transformer_engine.pytorch", recipes, "transformer_engine.pytorch.quantized_tensor")
    for name in names:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules[names[-1]].__dict__.update(QuantizedTensorStorage=object, Quantizer=object)
    # `gemm` is named in signatures only
    sys.modules[recipes].__dict__.update(gemm=MagicMock(), reference_utils=load("reference_utils"))
    return load("reference_nvfp4")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(
    not (installed("transformer_engine") and installed("torch")),
    reason="transformer-engine is not installed: tests/bench/peers/requirements.txt",
)
@pytest.mark.parametrize("spread", [0, 3, 20])
def test_nvfp4_equals_transformer_engine(spread, rng, monkeypatch):
    import torch

    reference = transformer_engine_reference(monkeypatch)

    def quantized(x):
        largest = torch.from_numpy(x).abs().max()
        packed, scales = reference.NVFP4QuantizerRef._quantize_blockwise_reference(
            torch.from_numpy(x), largest, 16, 1, pow_2_scales=False, eps=0.0
        )
        step = scales.to(torch.float32).numpy() * (np.float32(1) / (np.float32(2688) / largest.numpy()))
        step = step.repeat(16, axis=1)
        return reference.cast_from_fp4x2(packed, torch.float32).numpy() * step, step

    powers = 2.0 ** rng.integers(-spread, spread + 1, (512, 16)).repeat(16, axis=1)
    x = (rng.standard_normal((512, 256)) * powers).astype(np.float32)
    x[7, 32:48] = 0
    theirs, step = quantized(x)
    assert np.array_equal(ps.NVFP4(x), theirs)  # its zeros have no sign
    # beside the midpoints, where the order of float32 operations decides; each block keeps its largest element
    near = step * rng.choice(np.float32([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5]), x.shape)
    near = np.nextafter(near, rng.choice(np.float32([0, np.inf]), x.shape)) * np.sign(x)
    blocks = np.abs(x).reshape(512, 16, 16)
    smaller = (np.abs(near).reshape(blocks.shape) < blocks.max(2, keepdims=True)) & (
        blocks < blocks.max(2, keepdims=True)
    )
    x = np.where(smaller.reshape(x.shape), near, x)
    theirs, _ = quantized(x)
    assert np.array_equal(ps.NVFP4(x), theirs)
