"""Checkpoints made here, read and measured: against the quantizers themselves, gguf's writer, and damaged files."""

import itertools
import json
import math
import struct

import gguf
import ml_dtypes
import numpy as np
import pytest

import precsim as ps
from precsim.cli import main
from precsim.numerics.block_layouts import LAYOUTS
from precsim.weights import FORMATS, open_checkpoint, survey
from precsim.weights.surveys import USUAL

TYPES = {
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float64": "F64",
    "float8_e4m3fn": "F8_E4M3",
    "int32": "I32",
}


def write(path, tensors, change=lambda header, body: (header, body)):
    """A safetensors file by its description: length of the header, header, numbers."""
    header, body = {"__metadata__": {"made": "here"}}, b""
    for name, array in tensors.items():
        ends = [len(body), len(body) + array.nbytes]
        header[name] = {"dtype": TYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": ends}
        body += array.tobytes()
    header, body = change(header, body)
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


@pytest.fixture
def weights(rng):
    w = rng.standard_normal((130, 96)).astype(np.float32)
    heavy = w * np.exp(1.5 * rng.standard_normal((130, 96))).astype(np.float32)
    return {
        "up.weight": w,
        "down.weight": heavy.astype(ml_dtypes.bfloat16),
        "odd.weight": w[:, :70].astype(np.float16),
        "norm": w[0],
        "positions": np.arange(12, dtype=np.int32).reshape(3, 4),
    }


@pytest.fixture
def model(tmp_path, weights):
    return write(tmp_path / "model.safetensors", weights)


def test_numbers_are_read_as_they_were_written(model, weights):
    checkpoint = open_checkpoint(model)
    assert checkpoint.kind == "safetensors"
    found = {t.name: t for t in checkpoint.tensors}
    assert found.keys() == weights.keys()
    for name in ("up.weight", "down.weight", "odd.weight"):
        pieces = list(found[name].rows(1000))
        assert len(pieces) > 5
        np.testing.assert_array_equal(np.concatenate(pieces), weights[name].astype(np.float32))


def test_scores_are_those_of_the_quantizers(model, weights):
    found = survey(model, [*USUAL, "Q4_0", "Q8_0"])
    assert set(found.skipped) == {"norm", "positions"}
    for tensor in found.tensors:
        x = weights[tensor.name].astype(np.float32)
        assert tensor.outlier == pytest.approx(np.abs(x).max() / np.sqrt((x.astype(float) ** 2).mean()))
        centered = x.astype(float) - x.mean(dtype=float)
        assert tensor.kurtosis == pytest.approx((centered**4).mean() / (centered**2).mean() ** 2, rel=1e-4)
        for score in tensor.scores:
            way = FORMATS[score.format]
            if isinstance(way, ps.Quantizer):
                assert score.sqnr == pytest.approx(ps.sqnr(x, way(x)), abs=1e-4), (tensor.name, score.format)
                if score.format.startswith("MX"):
                    assert score.clipped == ps.clipped(x, way)
                if x.shape[1] % 32 == 0 and score.format != "INT4":  # whole blocks
                    assert score.nbytes == way.encode(x).nbytes
        ranked = found.ranking()
        assert ranked[0]["format"] in ("INT8", "Q8_0")
        assert all(a["SQNR [dB]"] >= b["SQNR [dB]"] for a, b in itertools.pairwise(ranked))


def test_pieces_of_a_tensor_are_measured_as_the_whole(tmp_path, rng):
    w = (rng.standard_normal((3000, 128)) * np.exp(rng.standard_normal((3000, 1)))).astype(np.float32)  # three pieces
    found = survey(write(tmp_path / "m.safetensors", {"w": w})).tensors[0]
    for score in found.scores:
        assert score.sqnr == pytest.approx(ps.sqnr(w, FORMATS[score.format](w)), abs=1e-4), score.format


def test_rotation_spreads_an_outlier(tmp_path, rng):
    w = rng.standard_normal((64, 256)).astype(np.float32)
    w[:, 7] *= 40
    path = write(tmp_path / "m.safetensors", {"w": w})
    plain, turned = survey(path).tensors[0], survey(path, rotate=True).tensors[0]
    assert turned.rms == pytest.approx(plain.rms, rel=1e-5)  # the matrix is orthogonal
    assert turned.outlier < plain.outlier / 4
    assert {s.format: s.sqnr for s in turned.scores}["MXFP4"] > {s.format: s.sqnr for s in plain.scores}["MXFP4"] - 1
    assert {s.format: s.sqnr for s in turned.scores}["INT8"] > {s.format: s.sqnr for s in plain.scores}["INT8"] + 6


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_gguf_files_of_the_gguf_package_are_read(tmp_path, rng):
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "test")
    writer.add_string("general.name", "a model")
    writer.add_array("words", ["a", "bc", ""])
    writer.add_array("numbers", [1, 2, 3])
    writer.add_uint32("x.count", 7)
    w = rng.standard_normal((6, 256)).astype(np.float32)
    writer.add_tensor("plain", w)
    writer.add_tensor("half", w.astype(np.float16))
    wanted = {"plain": w, "half": w.astype(np.float16).astype(np.float32)}
    for layout in LAYOUTS.values():
        kind = gguf.GGMLQuantizationType[layout.name]
        if layout.choice is not None:
            data = gguf.quantize(w, kind)
        else:
            data = rng.integers(60, size=(6, 256 // layout.size * layout.block_bytes), dtype=np.uint8)
        writer.add_tensor(layout.name, data, raw_dtype=kind)
        wanted[layout.name] = gguf.dequantize(data, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    checkpoint = open_checkpoint(path)
    assert checkpoint.kind == "GGUF"
    assert [t.name for t in checkpoint.tensors] == list(wanted)
    for tensor in checkpoint.tensors:
        np.testing.assert_array_equal(np.concatenate(list(tensor.rows(512))), wanted[tensor.name])
        assert tensor.shape == (6, 256)
    again = survey(path, ["Q8_0"], tensors="Q8_0")
    assert again.tensors[0].scores[0].sqnr > 60  # numbers of Q8_0 in Q8_0


DAMAGE = {
    "another length": (lambda h, b: (h, b[:-1]), "lies at"),
    "bytes left over": (lambda h, b: (h, b + b"x"), "belong to no tensor"),
    "overlap": (lambda h, b: (h | {"odd.weight": h["up.weight"]}, b), "lies at"),
    "no offsets": (lambda h, b: (h | {"up.weight": {"dtype": "F32", "shape": [1]}}, b), "needs dtype"),
    "negative offset": (
        lambda h, b: (h | {"up.weight": h["up.weight"] | {"data_offsets": [-4, 0]}}, b),
        "data_offsets",
    ),
    "negative shape": (lambda h, b: (h | {"up.weight": h["up.weight"] | {"shape": [-1, 4]}}, b), "shape"),
    "another shape": (lambda h, b: (h | {"up.weight": h["up.weight"] | {"shape": [2, 2]}}, b), "has .* bytes"),
    "huge shape": (lambda h, b: (h | {"up.weight": h["up.weight"] | {"shape": [2**62, 2**62]}}, b), "has .* bytes"),
    "twice": (lambda h, b: (b'{"a": {}, "a": {}}', b), "twice"),
    "no JSON": (lambda h, b: (b"{", b), "no JSON"),
    "a list": (lambda h, b: (b"[]", b), "no table"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_refused_by_what_is_wrong(damage, tmp_path, weights):
    change, message = DAMAGE[damage]
    with pytest.raises(ValueError, match=message):
        open_checkpoint(write(tmp_path / "bad.safetensors", weights, change))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes"),
        (b"\xff" * 20, "does not fit"),
        (b"GGUF" + struct.pack("<I", 9), "version 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "more than"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 0), "the file ends"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60), "the file ends"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"a", 77), "unknown type 77"),
        (b"GGUF" + struct.pack("<IQQQ1sIQIQ", 3, 1, 0, 1, b"a", 1, 64, 0, 0), "lies at 0"),
        (b"GGUF" + struct.pack("<IQQQ1sIQIQ", 3, 1, 0, 1, b"a", 1, 31, 2, 0), "whole blocks"),
    ],
)
def test_files_that_are_no_checkpoint_are_refused(data, message, tmp_path):
    path = tmp_path / "bad"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        open_checkpoint(path)


def test_command_prints_a_ranking_json_and_a_page(model, tmp_path, capsys):
    assert main(["weights", str(model), "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "3 matrices" in text
    assert "what this cannot say" in text
    assert "left out: 2 tensors (I32 is no type of weights known here; not a matrix)" in text
    page = tmp_path / "page.html"
    assert main(["weights", str(model), "--json", "--formats", "MXFP4,INT8", "--rotate", "--html", str(page)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [row["format"] for row in record["ranking"]] == ["INT8", "MXFP4"]
    assert len(record["tensors"]) == 6
    assert record["rotated"] is True
    assert "Weights of model.safetensors" in page.read_text()
    assert main(["weights", str(model), "--html", str(page)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["weights", str(model), "--formats", "FP3"]) == 2
    assert "no format 'FP3'" in capsys.readouterr().err
    assert main(["weights", str(model), "--tensors", "none*"]) == 2
    assert main(["weights", "x", "--formats", "help"]) == 0


def test_what_cannot_be_measured_is_named(tmp_path):
    w = np.ones((2, 32), np.float32)
    w[1, 3] = np.nan
    path = write(
        tmp_path / "m.safetensors",
        {"bad": w, "zero": 0 * np.ones((2, 32), np.float32), "good": np.eye(32, dtype=np.float32)},
    )
    found = survey(path, ["INT8"])
    assert dict(found.skipped) == {"bad": "holds infinity or NaN", "zero": "all zero"}
    assert found.tensors[0].scores[0].sqnr == math.inf
