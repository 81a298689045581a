"""The rounding kernels: float magic add under numba, integer bits for NumPy, JAX (`integer`), numba (`any_format`).

Two formulations of one definition, on purpose: each is the other's test.

The modules that need numba or JAX load on first use, as attributes of this package, so that rounding a NumPy array
never imports JAX and training never imports numba: ``kernels.under_jax`` is the one door to JAX.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from precsim.lazy import names

if TYPE_CHECKING:
    from precsim.numerics.kernels import any_format, codes, fused_loops, loops, sums, under_jax

__all__ = ["any_format", "codes", "fused_loops", "loops", "sums", "under_jax"]
_load, __dir__, _ = names(__name__, dict.fromkeys(__all__, "."))


def __getattr__(name: str):
    return _load(name)
