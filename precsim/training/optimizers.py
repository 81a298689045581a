"""Learning-rate schedules and optimizers: frozen values whose methods are pure functions of traced numbers."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from precsim.models import Weights

Moments = tuple[Weights, Weights]  # means of g and of g^2
Each = Array | float | Weights  # one number, or one for each part of the weights


def _fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie between 0 and 1, not {value!r}")


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be positive, not {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmup:
    """Linear rise of the learning rate over the first steps: a share of the run, but at most `most` steps."""

    share: float = 0.1
    most: int = 200

    def __post_init__(self) -> None:
        _fraction("share", self.share)
        if self.most < 1:
            raise ValueError(f"most must be at least 1 step, not {self.most}")

    def steps(self, steps: Array) -> Array:
        """Length of the rise in a run of `steps` steps; at least one."""
        return jnp.clip(jnp.floor(self.share * steps), 1, self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """Warm-up, then half a cosine from the peak down to `final` times the peak at the last step.

    Examples
    --------
    >>> [round(float(Cosine().factor(step, 1000)), 3) for step in (0, 99, 549, 999)]
    [0.01, 1.0, 0.525, 0.05]
    """

    warmup: Warmup = Warmup()
    final: float = 0.05

    def __post_init__(self) -> None:
        _fraction("final", self.final)

    def factor(self, step: Array, steps: Array) -> Array:
        """Learning rate over its peak at this step (from 0) of a run of `steps` steps."""
        rise, progress = _rise_and_progress(self.warmup, step, steps)
        return rise * (self.final + (1 - self.final) * 0.5 * (1 + jnp.cos(jnp.pi * progress)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """Warm-up, then a straight line from the peak down to `final` times the peak at the last step."""

    warmup: Warmup = Warmup()
    final: float = 0.0

    def __post_init__(self) -> None:
        _fraction("final", self.final)

    def factor(self, step: Array, steps: Array) -> Array:
        """Learning rate over its peak at this step (from 0) of a run of `steps` steps."""
        rise, progress = _rise_and_progress(self.warmup, step, steps)
        return rise * (1 - (1 - self.final) * progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Warm-up, then the peak until the end."""

    warmup: Warmup = Warmup()

    def factor(self, step: Array, steps: Array) -> Array:
        """Learning rate over its peak at this step (from 0) of a run of `steps` steps."""
        return _rise_and_progress(self.warmup, step, steps)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupStableDecay:
    """Warm-up, the peak, and over the last `decay` share of the run a straight line down to `final` times it."""

    warmup: Warmup = Warmup()
    decay: float = 0.2
    final: float = 0.0

    def __post_init__(self) -> None:
        _fraction("decay", self.decay)
        _fraction("final", self.final)

    def factor(self, step: Array, steps: Array) -> Array:
        """Learning rate over its peak at this step (from 0) of a run of `steps` steps."""
        rise, _ = _rise_and_progress(self.warmup, step, steps)
        length = jnp.maximum(self.decay * steps, 1.0)
        fallen = jnp.clip((step + 1 - (steps - length)) / length, 0.0, 1.0)
        return rise * (1 - (1 - self.final) * fallen)


Schedule = Cosine | Linear | Constant | WarmupStableDecay


@dataclass(frozen=True, slots=True, kw_only=True)
class AdamW:
    """Adam with bias correction, decoupled weight decay and a limit on the gradient's norm.

    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
    w <- w - rate (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon) + decay w), with g first shortened
    to norm `clip` if it is longer.

    References
    ----------
    kingma2014, algorithm 1; loshchilov2019, algorithm 2.
    """

    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    clip: float = 1.0

    def __post_init__(self) -> None:
        _fraction("beta1", self.beta1)
        _fraction("beta2", self.beta2)
        _positive("epsilon", self.epsilon)
        _positive("clip", self.clip)

    def start(self, params: Weights) -> Moments:
        """Both moments, zero; the bias correction of `update` makes up for that."""
        zeros = jax.tree.map(jnp.zeros_like, params)
        return zeros, zeros

    def update(
        self, params: Weights, state: Moments, grads: Weights, rate: Each, decay: Each, step: Array
    ) -> tuple[Weights, Moments]:
        """New weights and moments after step number `step` (from 0); `rate` and `decay` one number, or one a part."""
        grads = _shorten(grads, self.clip)
        first, second = state
        first = jax.tree.map(lambda m, g: self.beta1 * m + (1 - self.beta1) * g, first, grads)
        second = jax.tree.map(lambda v, g: self.beta2 * v + (1 - self.beta2) * g * g, second, grads)
        # expm1 keeps the small first corrections exact where 1 - beta**t in float32 would cancel
        t = (step + 1).astype(jnp.float32)
        scale1 = -1 / jnp.expm1(t * jnp.log(self.beta1)) if self.beta1 else 1.0
        scale2 = -1 / jnp.expm1(t * jnp.log(self.beta2)) if self.beta2 else 1.0

        def move(w: Array, m: Array, v: Array, rate: Array, decay: Array) -> Array:
            return w - rate * (m * scale1 / (jnp.sqrt(v * scale2) + self.epsilon) + decay * w)

        numbers = _spread(rate, params), _spread(decay, params)
        return jax.tree.map(move, params, first, second, *numbers), (first, second)


@dataclass(frozen=True, slots=True, kw_only=True)
class SGD:
    """Gradient descent with momentum, decoupled weight decay and a limit on the gradient's norm.

    m <- momentum m + g;  w <- w - rate (m + decay w). The models' own learning rates are meant for
    AdamW: give one.
    """

    momentum: float = 0.9
    clip: float = 1.0

    def __post_init__(self) -> None:
        _fraction("momentum", self.momentum)
        _positive("clip", self.clip)

    def start(self, params: Weights) -> Weights:
        """The momentum, zero: the first step is that of plain gradient descent."""
        return jax.tree.map(jnp.zeros_like, params)

    def update(
        self, params: Weights, state: Weights, grads: Weights, rate: Each, decay: Each, step: Array
    ) -> tuple[Weights, Weights]:
        """New weights and momentum; the step number is not needed. `rate` and `decay` as in `AdamW.update`."""
        state = jax.tree.map(lambda m, g: self.momentum * m + g, state, _shorten(grads, self.clip))
        numbers = _spread(rate, params), _spread(decay, params)
        return jax.tree.map(lambda w, m, r, d: w - r * (m + d * w), params, state, *numbers), state


Optimizer = AdamW | SGD


def _rise_and_progress(warmup: Warmup, step: Array, steps: Array) -> tuple[Array, Array]:
    length = warmup.steps(steps)
    rise = jnp.minimum((step + 1) / length, 1.0)
    progress = jnp.clip((step + 1 - length) / jnp.maximum(steps - length, 1), 0.0, 1.0)
    return rise, progress


def _spread(numbers: Each, params: Weights) -> Weights:
    """Each part's number for all that is in it: a pytree like params."""
    return jax.tree.map(lambda number, part: jax.tree.map(lambda _: number, part), numbers, params)


def _shorten(grads: Weights, most: float) -> Weights:
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(grads)))
    factor = jnp.minimum(1.0, most / jnp.maximum(norm, 1e-12))
    return jax.tree.map(lambda g: g * factor, grads)
