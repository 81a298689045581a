"""What each format would do to each tensor of a checkpoint: measured in two passes over pieces of its rows."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from precsim.numerics.binary_format import Format
from precsim.numerics.block_layouts import LAYOUTS, BlockLayout
from precsim.numerics.block_packing import decode_blocks, encode_blocks
from precsim.numerics.formats import FP8_E4M3, INT4, INT8
from precsim.numerics.quantize import (
    MXFP4,
    MXFP6,
    MXFP8,
    NF4,
    NVFP4,
    PerBlock,
    PerTensor,
    PerToken,
    Quantizer,
    ScaleRule,
    TwoLevel,
)
from precsim.weights.checkpoints import Checkpoint, Tensor, open_checkpoint

__all__ = ["FORMATS", "Score", "Survey", "TensorSurvey", "survey"]

Way = Quantizer | BlockLayout
Floats = NDArray[np.float32]

#: Formats by name. Rows of a matrix (its output channels) and blocks along them share a scale.
FORMATS: Mapping[str, Way] = MappingProxyType(
    {
        "INT8": Quantizer(INT8, PerToken()),
        "FP8_E4M3": Quantizer(FP8_E4M3, PerToken()),
        "MXFP8": MXFP8,
        "MXFP6": MXFP6,
        "INT4": Quantizer(INT4, PerBlock(128)),
        "NVFP4": NVFP4,
        "NF4": NF4,
        "MXFP4": MXFP4,
        **{name: layout for name, layout in LAYOUTS.items() if layout.choice is not None and name != "MXFP4"},
    }
)
USUAL = tuple(FORMATS)[:8]  #: what is measured unless other formats are named

_PIECE = 1 << 17  # elements at a time: half a MiB of float32, which stays in the second-level cache for all formats
_SHOWN = 1 << 16  # elements in a tensor's histogram
_ROTATED = 128  # largest Hadamard block


@dataclass(frozen=True, slots=True)
class Score:
    """One tensor in one format.

    Parameters
    ----------
    format : str
    bits : float
        Storage bits of a weight with its share of the scales.
    nbytes : int
    sqnr : float
        Signal to quantization noise [dB]; inf if nothing changes.
    clipped : float
        Share of weights beyond the largest value of their block.
    """

    format: str
    bits: float
    nbytes: int
    sqnr: float
    clipped: float


@dataclass(frozen=True, slots=True, eq=False)
class TensorSurvey:
    """One tensor: its distribution, and its scores.

    Parameters
    ----------
    name, shape, stored
        As in the file.
    rms : float
    outlier : float
        max|x| / rms; a normal distribution of a million weights has about 5.
    kurtosis : float
        E(x - mean)**4 / variance**2; 3 for a normal distribution.
    scores : tuple of Score
    counts : int array, shape (len(edges) - 1,)
        Histogram of x / rms between `edges`, of at most 65,536 weights from the first rows.
    edges : float array
    """

    name: str
    shape: tuple[int, ...]
    stored: str
    rms: float
    outlier: float
    kurtosis: float
    scores: tuple[Score, ...]
    counts: NDArray[np.int64]
    edges: NDArray[np.float64]

    @property
    def size(self) -> int:
        """Number of weights that were surveyed."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """All tensors of a checkpoint that were measured, and why others were not.

    Parameters
    ----------
    path : Path
    rotated : bool
    tensors : tuple of TensorSurvey
    skipped : mapping of str to str
        Name of a tensor → why it was left out.
    """

    path: Path
    rotated: bool
    tensors: tuple[TensorSurvey, ...]
    skipped: Mapping[str, str]

    def rows(self) -> list[dict[str, object]]:
        """One row for each tensor and format."""
        return [
            {
                "tensor": t.name, "shape": "x".join(map(str, t.shape)), "stored": t.stored, "format": s.format,
                "SQNR [dB]": s.sqnr, "clipped": s.clipped, "outlier": t.outlier, "kurtosis": t.kurtosis,
                "bits": s.bits, "bytes": s.nbytes,
            }
            for t in self.tensors
            for s in t.scores
        ]  # fmt: skip

    def ranking(self) -> list[dict[str, object]]:
        """Formats from least error to most: the mean of noise over signal, each tensor by its number of weights [dB].

        The worst tensor of each stands beside it.
        """
        found = []
        for n, score in enumerate(self.tensors[0].scores if self.tensors else ()):
            each = [(t.scores[n], t) for t in self.tensors]
            weight = sum(t.size for t in self.tensors)
            noise = sum(10 ** (-s.sqnr / 10) * t.size for s, t in each) / weight
            worst, of = min(each, key=lambda pair: pair[0].sqnr)
            ratio = math.inf if noise == 0 else -10 * math.log10(noise)
            row = {
                "format": score.format,
                "SQNR [dB]": ratio,
                "bits": 8 * sum(s.nbytes for s, _ in each) / weight,
                "bytes": sum(s.nbytes for s, _ in each),
                "clipped": sum(s.clipped * t.size for s, t in each) / weight,
                "worst tensor": of.name,
                "worst [dB]": worst.sqnr,
            }
            found.append((ratio, row))
        return [row for _, row in sorted(found, key=lambda pair: -pair[0])]


def survey(
    source: str | Path | Checkpoint,
    formats: Iterable[str] = USUAL,
    *,
    tensors: str = "*",
    rotate: bool = False,
    progress: bool = False,
) -> Survey:
    """Measure what each format would do to the weights of a checkpoint.

    Parameters
    ----------
    source : str, Path or Checkpoint
        A safetensors or GGUF file.
    formats : iterable of str
        Names in `FORMATS`.
    tensors : str
        Only those whose name matches this pattern, in the manner of file names.
    rotate : bool
        True: rows are multiplied by a Hadamard matrix first, in blocks of 128 (or the largest power of two that
        divides the row), which spreads outliers; what QuaRot and QuEST do before they round.
    progress : bool
        Show a bar on standard error.

    Raises
    ------
    ValueError
        If a format is not known, the file cannot be, or nothing in it is left to measure.

    Notes
    -----
    Two passes in pieces of 2**17 weights: the largest magnitude first, since a tensor's own scale needs it. Errors are
    summed in float32 within a piece and in float64 over pieces. Nothing here is a loss: a format that is worse by 3 dB
    on every tensor may cost nothing or everything, which only data can tell.
    """
    names = list(formats)
    for name in names:
        if name not in FORMATS:
            raise ValueError(f"no format {name!r}; there are {', '.join(FORMATS)}")
    if not names:
        raise ValueError("a survey needs at least one format; received none")
    checkpoint = source if isinstance(source, Checkpoint) else open_checkpoint(source)
    chosen = [t for t in checkpoint.tensors if fnmatch.fnmatchcase(t.name, tensors)]
    skipped = {t.name: reason for t in chosen if (reason := _reason(t))}
    found = []
    with _Bar(sum(t.nbytes for t in chosen if t.name not in skipped), progress) as bar:
        for tensor in chosen:
            if tensor.name in skipped:
                continue
            measured = _measure(tensor, names, rotate, bar)
            if isinstance(measured, str):
                skipped[tensor.name] = measured
            else:
                found.append(measured)
    if not found:
        why = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:3])
        raise ValueError(f"{checkpoint.path}: no tensor to measure matches {tensors!r} ({why or 'there is none'})")
    return Survey(checkpoint.path, rotate, tuple(found), skipped)


class _Bar:
    """A progress bar in bytes, or none."""

    def __init__(self, total: int, shown: bool) -> None:
        self._total, self._shown, self._bar = total, shown, None

    def __enter__(self) -> _Bar:
        if self._shown:
            from tqdm import tqdm

            self._bar = tqdm(total=self._total, unit="B", unit_scale=True, desc="weights")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def done(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)


def _reason(tensor: Tensor) -> str:
    if not tensor.has_numbers:
        return f"{tensor.stored} is no type of weights known here"
    if len(tensor.shape) < 2 or not tensor.size:
        return "not a matrix"
    return ""


def _measure(tensor: Tensor, names: list[str], rotate: bool, bar: _Bar) -> TensorSurvey | str:
    block = math.gcd(tensor.shape[-1], _ROTATED)
    turn = _hadamard(block) if rotate else None
    largest = 0.0
    for piece in tensor.rows(_PIECE):
        x = piece if turn is None else _turned(piece, turn)
        high, low = float(x.max()), float(x.min())
        if not (math.isfinite(high) and math.isfinite(low)):
            return "holds infinity or NaN"
        largest = max(largest, high, -low)
    if largest == 0:
        return "all zero"
    moments, clips = np.zeros(4), np.zeros(len(names))
    noise, shown, held = np.zeros(len(names)), [], 0
    buffer = np.zeros((max(1, _PIECE // tensor.shape[-1]) + 1, tensor.shape[-1]), np.float32)
    wrong = np.empty_like(buffer[:-1])
    for piece in tensor.rows(_PIECE):
        count = len(piece)
        buffer[:count] = piece if turn is None else _turned(piece, turn)
        buffer[count] = 0
        buffer[count, 0] = largest  # a row that carries the tensor's largest magnitude, for formats that need it
        x = buffer[:count]
        moments += _moments(x.reshape(-1) * np.float32(1 / largest))
        if held < _SHOWN:
            shown.append(x.reshape(-1)[: _SHOWN - held].copy())
            held += shown[-1].size
        for n, name in enumerate(names):
            y = _rounded(FORMATS[name], buffer[: count + 1], wrong[:count])
            np.subtract(y, x, out=wrong[:count])
            wrong[:count] *= np.float32(1 / largest)
            flat = wrong[:count].reshape(-1)
            noise[n] += float(np.dot(flat, flat))
            clips[n] += _clipped(FORMATS[name], x)
        bar.done(count * tensor.nbytes // (tensor.size // tensor.shape[-1]))
    size = tensor.size
    mean, second, third, fourth = moments / size
    variance = second - mean**2
    rms = math.sqrt(second)
    central = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
    scores = tuple(
        Score(
            name,
            FORMATS[name].bits,
            _bytes(FORMATS[name], tensor.shape),
            math.inf if noise[n] == 0 else 10 * math.log10(moments[1] / noise[n]),
            float(clips[n]) / size,
        )
        for n, name in enumerate(names)
    )
    edges = np.linspace(-6, 6, 121)
    counts = np.histogram(np.concatenate(shown) / (rms * largest), edges)[0]
    return TensorSurvey(
        tensor.name, tensor.shape, tensor.stored, rms * largest, 1 / rms, central / variance**2, scores, counts, edges
    )  # fmt: skip


def _moments(u: Floats) -> NDArray[np.float64]:
    square = u * u
    return np.array([u.sum(), np.dot(u, u), np.dot(square, u), np.dot(square, square)], np.float64)


def _rounded(way: Way, rows: Floats, out: Floats) -> Floats:
    """The rows but the last in a format; the last is used where the whole tensor shares a scale."""
    if isinstance(way, BlockLayout):
        pad = -rows.shape[1] % way.size
        padded = np.pad(rows[:-1], [(0, 0), (0, pad)]) if pad else rows[:-1]
        return decode_blocks(encode_blocks(padded, way), way)[:, : rows.shape[1]]
    if isinstance(way.scaling, PerTensor | TwoLevel):
        return way(rows)[:-1]
    return way(rows[:-1], out=out)


def _clipped(way: Way, x: Floats) -> int:
    """How many weights are beyond the largest value of their block: only powers of two found by FLOOR leave any."""
    if isinstance(way, BlockLayout) or not isinstance(way.scaling, PerBlock) or not isinstance(way.format, Format):
        return 0
    if way.scaling.scale_format is None or way.scaling.rule not in (ScaleRule.FLOOR, ScaleRule.EVEN):
        return 0
    view, axes = way.scaling.grouped(np, x)
    top = np.maximum(view.max(axis=axes), -view.min(axis=axes))
    fraction, _ = np.frexp(top)
    hit = fraction * 2 ** (way.format.emax + 1) > way.format.maximum  # only in these blocks is the largest beyond
    scale = way.scaling.scale(np, view[hit], (1,), way.format.grid())
    return int((np.abs(view[hit]) > way.format.maximum * scale).sum())


def _bytes(way: Way, shape: tuple[int, ...]) -> int:
    """Bytes of codes and scales, rows padded to whole blocks."""
    rows, width = math.prod(shape[:-1]), shape[-1]
    if isinstance(way, BlockLayout):
        return rows * -(-width // way.size) * way.block_bytes
    size = getattr(way.scaling, "size", 0)
    codes = rows * -(-width * way.format.bits // 8)
    if not size:
        return codes + 4 * (rows if isinstance(way.scaling, PerToken) else 1)
    scales = rows * -(-width // size) * round(way.scaling.scale_bits * size) // 8
    return codes + scales + (4 if isinstance(way.scaling, TwoLevel) else 0)


def _hadamard(size: int) -> Floats:
    """The orthogonal Hadamard matrix of a power of two (Sylvester)."""
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / np.float32(math.sqrt(size))


def _turned(rows: Floats, turn: Floats) -> Floats:
    return (rows.reshape(-1, len(turn)) @ turn).reshape(rows.shape)
