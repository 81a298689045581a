"""F8: a picture and a weight matrix in few bits, one scale for all, for each row or for each tile."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from precsim.numerics.quantize import Quantizer, sqnr
from precsim.numerics.scaling import PerBlock, PerChannel, PerTensor
from precsim.view.drawings.canvas import Canvas
from precsim.view.drawings.drawing import NARROW, WIDE, Drawing, Frame

if TYPE_CHECKING:
    from precsim.numerics.formats import Format

_TILE = 8
_SHADES = 64  #: of a palette: few, so that the files are small


def sphere(side: int = 96) -> np.ndarray:
    """Return a picture made of closed forms: a lit sphere with a soft shadow and one bright highlight.

    Returns
    -------
    ndarray, shape (side, side)
        Brightness around a middle gray; nearly all of it within a third of the highlight.
    """
    v, u = np.mgrid[0:side, 0:side] / (side - 1.0) * 2 - 1
    r2 = (u**2 + (v + 0.1) ** 2) / 0.62**2
    z = np.sqrt(np.maximum(1 - r2, 0))
    light = (-0.5 * u / 0.62 - 0.6 * (v + 0.1) / 0.62 + 0.62 * z) * 0.32 - 0.04
    glint = 0.9 * np.exp(-((u + 0.24) ** 2 + (v + 0.36) ** 2) / 0.006)
    ground = 0.16 - 0.13 * v - 0.34 * np.exp(-((u - 0.14) ** 2 / 0.34 + (v - 0.62) ** 2 / 0.03))
    return np.where(r2 < 1, light + glint, ground)


def posterised(matrix: ArrayLike, formats: Sequence[Format]) -> Drawing:
    """Draw a picture, a weight matrix and the errors of that, in few bits and with scales for few and many.

    Parameters
    ----------
    matrix : array_like, shape (outputs, inputs)
        Weights; square, and 8 divides both.
    formats : sequence of Format
        Three, few bits first.

    Raises
    ------
    ValueError
        The matrix is not square, or tiles do not cover it.

    Examples
    --------
    >>> import numpy as np, precsim as ps
    >>> made = posterised(np.eye(64), (ps.INT2, ps.INT3, ps.INT4))
    >>> [frame.label for frame in made.frames]
    ['a picture', 'weights', 'errors of the weights']
    """
    picture, weights = sphere(), np.asarray(matrix, float)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or weights.shape[0] % _TILE:
        raise ValueError(f"the matrix must be square and made of tiles of {_TILE}; received shape {weights.shape}")
    spread = 3.5 * float(weights.std())
    frames = []
    for label, source, errors in (
        ("a picture", picture, False),
        ("weights", weights, False),
        ("errors of the weights", weights, True),
    ):
        grid = [[q(source) for q in _quantizers(fmt)] for fmt in formats]
        gray = source is picture
        pngs = [
            [png(_shades(source, np.asarray(made), gray, errors, spread), _palette(gray)) for made in line]
            for line in grid
        ]
        good = [[sqnr(source, made) for made in line] for line in grid]
        whole, tiles = (f"{good[0][i]:.1f} dB" for i in (0, 2))
        said = (
            f"Nine tiles of {label}. In {formats[0].bits} bits: {whole} with one scale, {tiles} with one for each tile."
        )
        wide, narrow = (_picture(width, formats, pngs, good) for width in (WIDE, NARROW))
        frames.append(Frame(label, wide, narrow, said))
    return Drawing(
        "A picture in few bits",
        tuple(frames),
        message="Block edges become visible: each block has its own ladder of values.",
        reading=f"Down: bits; across: one scale for all, for each row, for each {_TILE} × {_TILE} tile; numbers: SQNR. "
        "Weights: blue below zero, orange above; errors to the same measure.",
        choice="Show",
    )


def _quantizers(fmt: Format) -> tuple[Quantizer, ...]:
    scalings = (PerTensor(), PerChannel(axis=0), PerBlock(_TILE, rows=_TILE))
    return tuple(Quantizer(fmt, scaling) for scaling in scalings)


def _shades(source: np.ndarray, made: np.ndarray, gray: bool, errors: bool, spread: float) -> np.ndarray:
    """Positions in the palette: for a picture from black to white, for weights from far below zero to far above."""
    share = (made + 0.42) / 0.95 if gray else 0.5 + 0.5 * (made - source if errors else made) / spread
    return np.round(np.clip(share, 0, 1) * (_SHADES - 1)).astype(np.uint8)


def _palette(gray: bool) -> bytes:
    """Red, green and blue of each shade."""
    share = np.linspace(-1, 1, _SHADES)[:, None]
    if gray:
        return np.repeat(255 * (share + 1) / 2, 3, axis=1).astype(np.uint8).tobytes()
    middle, below, above = np.array([246.0, 246, 246]), np.array([47.0, 127, 193]), np.array([217.0, 115, 13])
    return (middle + np.abs(share) * (np.where(share < 0, below, above) - middle)).astype(np.uint8).tobytes()


def png(shades: np.ndarray, palette: bytes) -> bytes:
    """Return a PNG of positions in a palette, shape (rows, columns): header, palette, and rows that begin with 0."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows, columns = shades.shape
    head = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in shades)
    parts = ((b"IHDR", head), (b"PLTE", palette), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def _picture(
    width: float, formats: Sequence[Format], pngs: Sequence[Sequence[bytes]], good: Sequence[Sequence[float]]
) -> Canvas:
    wide = width == WIDE
    side, gap, left, top = (192, 16, 80, 30) if wide else (104, 19, 0, 30)
    tall = side + (34 if wide else 56)
    canvas = Canvas(width, top + tall * len(formats) - 4)
    for j, words in enumerate(("one scale", "one per row", "one per tile")):
        canvas.text(left + j * (side + gap), 14, words, "head" if wide else "strong")
    for i, fmt in enumerate(formats):
        y = top + tall * i + (0 if wide else 22)
        look = f"head b{fmt.bits}"
        canvas.text(0, y + side / 2 if wide else y - 8, f"{fmt.bits} bits", look)
        for j in range(3):
            x = left + j * (side + gap)
            canvas.image(x, y, side, side, pngs[i][j])
            canvas.text(x + side, y + side + 17, f"{good[i][j]:.1f} dB", "small muted digits", anchor="end")
    return canvas
