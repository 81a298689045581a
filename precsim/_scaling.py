"""Which elements share a scale: per tensor, channel, token or block. Written once for NumPy and JAX arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["PerBlock", "PerChannel", "PerTensor", "PerToken", "absmax_scale"]

#: Smallest normal float32. No scale is smaller, so that no scale is zero or flushed to zero by XLA.
_LEAST_SCALE = 2.0**-126


def absmax_scale(xp: Any, largest, maximum):
    """Scale that maps the largest magnitude of a group to the largest value of the format.

    Parameters
    ----------
    largest : float array, shape (...)
        max |x| over each group.
    maximum : float
        Largest value of the format; may be traced.

    Returns
    -------
    float array, shape (...)
        ``max(largest * (1 / maximum), 2**-126)``; a group of zeros therefore stays a group of zeros.

    Notes
    -----
    Reciprocals are taken explicitly here and by the callers: XLA replaces a division by a broadcast value with
    a multiplication by its reciprocal or not, depending on what it fuses, and the last bit would depend on that.
    """
    one = xp.asarray(1, dtype=largest.dtype)
    reciprocal = one / xp.asarray(maximum, dtype=largest.dtype)
    return xp.maximum(largest * reciprocal, xp.asarray(_LEAST_SCALE, dtype=largest.dtype))


def _check_axis(axis: int) -> None:
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise ValueError(f"axis must be an integer; received {axis!r}")


def _normal_axis(axis: int, x) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis {axis} does not exist in an array of shape {x.shape}")
    return axis % x.ndim


@dataclass(frozen=True, slots=True)
class PerTensor:
    """One scale for the whole array."""

    def grouped(self, xp: Any, x):
        """Return the array as it is and the axes that share a scale."""
        return x, tuple(range(x.ndim))

    def ungrouped(self, xp: Any, y, shape: tuple[int, ...]):
        """Undo `grouped`."""
        return y


@dataclass(frozen=True, slots=True)
class PerChannel:
    """One scale for each index along one axis.

    Parameters
    ----------
    axis : int
        The axis kept; all others share the scale. For weights of shape (inputs, outputs) -1 is per output channel.
    """

    axis: int = -1

    def __post_init__(self) -> None:
        _check_axis(self.axis)

    def grouped(self, xp: Any, x):
        """Return the array as it is and the axes that share a scale."""
        kept = _normal_axis(self.axis, x)
        return x, tuple(i for i in range(x.ndim) if i != kept)

    def ungrouped(self, xp: Any, y, shape: tuple[int, ...]):
        """Undo `grouped`."""
        return y


@dataclass(frozen=True, slots=True)
class PerToken:
    """One scale for each vector along the last axis: for activations of shape (batch, time, width), each token."""

    def grouped(self, xp: Any, x):
        """Return the array as it is and the axes that share a scale."""
        return x, (_normal_axis(-1, x),)

    def ungrouped(self, xp: Any, y, shape: tuple[int, ...]):
        """Undo `grouped`."""
        return y


@dataclass(frozen=True, slots=True)
class PerBlock:
    """One scale for each run of `size` consecutive elements along one axis; the last block may be shorter.

    Parameters
    ----------
    size : int
        Elements in a block, k >= 1.
    axis : int
        The axis that is cut into blocks.
    """

    size: int
    axis: int = -1

    def __post_init__(self) -> None:
        _check_axis(self.axis)
        if not isinstance(self.size, int) or isinstance(self.size, bool) or self.size < 1:
            raise ValueError(f"a block has an integer size of at least 1; received {self.size!r}")

    def grouped(self, xp: Any, x):
        """Return the array with the blocks as a last axis (padded with zeros) and that axis."""
        axis = _normal_axis(self.axis, x)
        moved = xp.moveaxis(x, axis, -1)
        rest, length = moved.shape[:-1], moved.shape[-1]
        pad = -length % self.size
        if pad:
            moved = xp.concatenate([moved, xp.zeros((*rest, pad), moved.dtype)], axis=-1)
        return moved.reshape(*rest, (length + pad) // self.size, self.size), (moved.ndim,)

    def ungrouped(self, xp: Any, y, shape: tuple[int, ...]):
        """Undo `grouped` for an array that had this shape."""
        axis = self.axis % len(shape)
        flat = y.reshape(*y.shape[:-2], -1)[..., : shape[axis]]
        return xp.moveaxis(flat, -1, axis)
