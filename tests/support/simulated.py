"""Tables that several test modules fit: simulated from known laws, and public ones where they are on the disk."""

import numpy as np
import pytest
from support.places import PUBLIC

from precsim import laws
from precsim.laws import WEIGHTS

TRUTH = laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
PRECISE = (
    TRUTH
    | laws.Saturating(WEIGHTS, c=3.0, gamma=1.2)
    | laws.KumarDegradation(C_T=0.06, gamma_D=0.5, gamma_N=0.34, gamma_post=0.6)
)


def public(name):
    """A public table, or a skip that says where it belongs (issue 6: public tables are never shipped)."""
    path = PUBLIC / name / "data.csv"
    if not path.exists():
        pytest.skip(f"issue 6: the public table {name} is not at ../shared/data")
    import pandas as pd

    return pd.read_csv(path)


def grid(law=TRUTH, *, noise=0.0, rng=None, widths=(np.inf,), posts=(np.inf,), sizes=5, lengths=5, factors=False):
    """A table of a law's values on a grid of N, D and widths, with relative noise."""
    axes = np.meshgrid(np.geomspace(1e7, 1e9, sizes), np.geomspace(1e9, 1e11, lengths), widths, posts, indexing="ij")
    N, D, weights, post = map(np.ravel, axes)
    loss = law(N, D, weights=weights)
    table = {"N": N, "D": D, "weights": weights, "post": post, "job": np.arange(len(N)) // len(posts)}
    if noise:
        loss = loss * np.exp(noise * rng.standard_normal(len(N)))
    if law.degradations:
        delta = law.delta(N, D, weights=weights, post=post)
        table["delta"] = delta * np.exp(noise * 6 * rng.standard_normal(len(N))) if noise else delta
        loss = loss + table["delta"]
    return table | {"loss": loss}


def chinchilla_points():
    table = public("chinchilla_epoch")
    return table.drop(table.nlargest(5, "loss").index)
