"""How sharply the loss of a trained model rises around its weights: the trace of its Hessian, channel by channel."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray

from precsim.models import EXACT, Model, Weights
from precsim.models.points import map_weights
from precsim.training.languages.synthetic import Language
from precsim.training.ptq.held_out import Sample, divergence, held_out, importance


@dataclass(frozen=True, slots=True, eq=False)
class Curvature:
    """Trace of the Hessian of the gap by the matrices counted in N.

    Attributes
    ----------
    traces : mapping from name to ndarray, shape (outputs,)
        Sum of second derivatives by the weights of each output channel [nats/token].
    trace : float
        Their sum over all channels.
    se : float
        Standard error of the sum over random directions.
    probes : int
        Number of random directions.
    """

    traces: Mapping[str, NDArray[np.float64]]
    trace: float
    se: float
    probes: int

    def damage(self, error: Mapping[str, ArrayLike]) -> float:
        """Damage that small, unsystematic changes of the weights do to second order [nats/token].

        Parameters
        ----------
        error : mapping from name to array, shape (inputs, outputs) or (outputs,)
            Change of each matrix, or the mean square of it in each output channel. Matrices left out do not change.

        Returns
        -------
        float
            1/2 sum_c (mean square of channel c) (trace of channel c).

        Raises
        ------
        ValueError
            If a name is none of these matrices.

        Examples
        --------
        >>> Curvature({"up": np.array([4.0, 0.0])}, 4.0, 0.0, 1).damage({"up": np.array([0.5, 9.0])})
        1.0
        """
        total = 0.0
        for name, change in error.items():
            if name not in self.traces:
                raise ValueError(f"no curvature is known for {name!r}, only for {', '.join(self.traces)}")
            change = np.asarray(change, np.float64)
            square = np.mean(change**2, axis=0) if change.ndim == 2 else change
            total += 0.5 * float(square @ self.traces[name])
        return total


def curvature(
    model: Model, params: Weights, language: Language, *, probes: int, sample: Sample | None = None, seed: int = 0
) -> Curvature:
    """Estimate the trace of the Hessian of the gap, KL(language || model), by the matrices inside the blocks.

    E[z * (H z)] over random signs z is the diagonal of H (Hutchinson); H z is exact, by differentiating the gradient
    along z. Nothing is rounded on the way: this is the network that the given weights make in float32.

    Parameters
    ----------
    model, params, language
        The trained model: its configuration, its weights (pytree), what it reads.
    probes : int
        Random directions, at least 2; the standard error falls with their square root.
    sample : Sample, optional
        Held-out text for a model that reads sequences.
    seed : int
        Of the directions.

    Raises
    ------
    ValueError
        If there are fewer than 2 probes.

    References
    ----------
    hutchinson1989; pearlmutter1994 for the product with a vector.
    """
    if probes < 2:
        raise ValueError(f"a standard error needs at least 2 probes, not {probes}")
    sample = sample or Sample()
    text = held_out(model, language, sample)
    weight = jnp.asarray(importance(model, language, sample).reshape(text[0].shape[:2]), jnp.float32)
    products = np.zeros(probes)
    found: dict[str, list[np.ndarray]] = {}
    for n in range(probes):
        # one direction at a time bounds the memory, and its channels are summed at once
        by_channel = _probe(model)(params, text, weight, jax.random.fold_in(jax.random.key(seed), n))
        for name, values in by_channel.items():
            found.setdefault(name, []).append(np.asarray(values, np.float64))
            products[n] += float(found[name][-1].sum())
    traces = {name: np.mean(values, axis=0) for name, values in found.items()}
    return Curvature(traces, float(products.mean()), float(products.std(ddof=1) / math.sqrt(probes)), probes)


@functools.lru_cache(maxsize=32)
def _probe(model: Model) -> Callable[..., dict[str, Array]]:
    """Compiled z * (H z) for one random z, summed over the inputs of each matrix: name -> (outputs,)."""

    def probe(params: Weights, text: tuple[Array, Array], weight: Array, key: Array) -> dict[str, Array]:
        blocks = params["blocks"]
        leaves, shape = jax.tree.flatten(blocks)
        keys = jax.random.split(key, len(leaves))
        drawn = [jax.random.rademacher(k, leaf.shape, jnp.float32) for k, leaf in zip(keys, leaves, strict=True)]
        signs = [sign if sign.ndim > 1 else jnp.zeros_like(sign) for sign in drawn]  # gains are not counted in N
        direction = jax.tree.unflatten(shape, signs)

        def along(part: tuple) -> list[Weights]:
            *block, share = part

            def gap(blocks: list[Weights]) -> Array:
                return divergence(model, {**params, "blocks": blocks}, EXACT, tuple(block)) @ share

            return jax.jvp(jax.grad(gap), (blocks,), (direction,))[1]

        with jax.default_matmul_precision("highest"):
            product = jax.tree.map(lambda each: each.sum(0), jax.lax.map(along, (*text, weight)))
        found: dict[str, Array] = {}
        one = jax.tree.map(lambda z, hz: (z * hz).sum(0), direction, product)

        def note(name: str, values: Array) -> Array:
            found[name] = values
            return values

        map_weights({"blocks": one}, note)
        return found

    return jax.jit(probe)
