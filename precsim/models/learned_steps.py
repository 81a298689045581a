"""Scales that are trained along with the weights, instead of being computed from them at each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import Array

from precsim.models.points import Weights, map_weights
from precsim.models.transforms import Around
from precsim.numerics.binary_format import Format
from precsim.numerics.grid import Family, Grid, family_of
from precsim.numerics.kernels.under_jax import round_traced, straight_through
from precsim.numerics.modes import Rounding
from precsim.numerics.quantize import PerChannel, PerTensor, Quantizer

if TYPE_CHECKING:
    from precsim.models.rounder import Site

__all__ = ["Learned", "LearnedScaling"]


@dataclass(frozen=True, slots=True)
class Learned(Around):
    """A quantizer of weights whose step s, one for each tensor or channel, is a trained parameter.

    w -> s round(clip(w / s, -q, q)), q the largest value of the format. Rounding passes the derivative through, so
    that by w it is 1 within the range and 0 beyond, and by s it is round(w/s) - w/s within and the sign times q
    beyond, multiplied by 1 / sqrt(n q) for the n weights that share s.

    Parameters
    ----------
    quantizer : Quantizer
        A symmetric integer format, nearest-even, `PerTensor` or `PerChannel`.

    Raises
    ------
    ValueError
        If the quantizer is another.

    Notes
    -----
    The source trains s itself; here log s is trained, so that s stays positive and one step of Adam changes it by a
    share that is the learning rate, whatever its size. Weight decay leaves it alone. It starts at 2 mean|w| / sqrt(q),
    as in the source, but not above max|w| / q. A scale of activations or of the KV cache would have to start from data
    and cannot be learned.

    References
    ----------
    esser2020.

    Examples
    --------
    >>> from precsim.numerics import INT3
    >>> Learned(Quantizer(INT3, PerChannel(axis=-1))).bits
    3.0
    """

    quantizer: Quantizer

    def __post_init__(self) -> None:
        inner = self.quantizer
        if not (isinstance(inner, Quantizer) and isinstance(inner.format, Format) and inner.symmetric) or (
            inner.rounding is not Rounding.NEAREST_EVEN
        ):
            raise ValueError(f"Learned takes a symmetric Quantizer to nearest-even of a plain format, not {inner!r}")
        if not isinstance(inner.scaling, (PerTensor, PerChannel)):
            raise ValueError(f"Learned takes one step for a tensor or a channel, not {inner.scaling}")
        if family_of(inner.format.grid(saturate=True)) is not Family.UNIFORM:
            raise ValueError(f"Learned takes integers, which have one step between all values, not {inner.format}")

    @property
    def scaling(self) -> LearnedScaling:
        """What a compiled program must know."""
        assert isinstance(self.quantizer.scaling, (PerTensor, PerChannel))
        return LearnedScaling(self.quantizer.scaling)


@dataclass(frozen=True, slots=True)
class LearnedScaling:
    """One trained step for each group of `groups`."""

    groups: PerTensor | PerChannel

    def start(self, x: Array, grid: Grid) -> Array:
        """Logarithm of the steps that training starts from, of length 1 along the axes that share one."""
        axes = self._shared(x)
        size = jnp.abs(x)
        step = jnp.minimum(
            2 * jnp.mean(size, axis=axes, keepdims=True) / jnp.sqrt(grid.maximum),
            jnp.max(size, axis=axes, keepdims=True) / grid.maximum,
        )
        # matrices of zeros, and members of a population whose weights are not rounded, have no step to start from
        return jnp.log(jnp.where(step > 0, step, 1.0))

    def round(self, x: Array, log_step: Array, grid: Grid) -> Array:
        """The tensor on the grid of its steps; derivatives by both as `Learned` says."""
        shared = x.size // log_step.size
        # The derivative by a step is a sum over the n weights that share it, each of size up to q: it grows with
        # sqrt(n q) against that of one weight, and the factor takes that back (esser2020, section 2.2). Adam's own
        # step does not feel it, but the limit on the gradient's norm does, which is one number for steps and weights:
        # without the factor the steps would use it up. Written so that the value stays s and only the slope shrinks.
        slowed = jax.lax.rsqrt(shared * jnp.asarray(grid.maximum, x.dtype))
        log_step = slowed * log_step + jax.lax.stop_gradient((1 - slowed) * log_step)
        step = jnp.exp(log_step)
        inner = jnp.clip(x / step, -grid.maximum, grid.maximum)
        return jnp.where(jnp.asarray(grid.precision) >= 24, x, step * straight_through(round_traced, inner, grid))

    def _shared(self, x: Array) -> tuple[int, ...]:
        if isinstance(self.groups, PerTensor):
            return tuple(range(x.ndim))
        return tuple(axis for axis in range(x.ndim) if axis != self.groups.axis % x.ndim)


def started(sites: Sequence[Site], params: Weights, grids: Grid | None) -> dict[str, Array]:
    """Steps that training starts from, by the name of the matrix, for the sites whose scale is learned."""
    found: dict[str, Array] = {}
    chosen = {site.name: (n, site.scaling) for n, site in enumerate(sites) if isinstance(site.scaling, LearnedScaling)}

    def note(name: str, w: Array) -> Array:
        if name in chosen:
            n, scaling = chosen[name]
            found[name] = scaling.start(w, jax.tree.map(lambda entry: entry[n], grids))
        return w

    map_weights(params, note)
    return found
