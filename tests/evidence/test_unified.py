"""The unified law: its constants are found in a simulated table, and the open table tells the forms apart."""

import itertools

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim import laws
from precsim.evidence import unified
from precsim.laws import ACTIVATIONS, KV, WEIGHTS

TRUTH = (
    laws.Chinchilla(E=0.0, A=3.0, B=100.0, alpha=0.2, beta=0.43)
    | laws.Saturating(WEIGHTS, c=20.0, gamma=0.9)
    | laws.Saturating(ACTIVATIONS, c=30.0, gamma=1.0)
    | laws.Saturating(KV, c=10.0, gamma=0.95)
    | laws.RobustDegradation(C_T=0.003, gamma_D=0.67, gamma_N=0.5, gamma_post=0.61, C_w=1.6, C_a=0.5, C_kv=2.2)
)
OFF = np.inf


def simulated(rng):
    """Runs of every pair of widths 3, 4, 6 and none, each rounded afterwards to 3 and 4 bits, 1 % noise in δ."""
    rows = []
    cells = itertools.product(
        [3e4, 8e4, 2e5], [1e6, 2e6, 4e6, 8e6, 16e6], (3.0, 4.0, 6.0, OFF), (3.0, 4.0, 6.0, OFF), (3.0, 6.0, OFF)
    )
    for N, D, w, a, kv in cells:
        bits = {"weights": w, "activations": a, "kv": kv}
        loss = float(TRUTH(N, D, **bits)) * np.exp(1e-4 * rng.standard_normal())
        for post in (OFF, 3.0, 4.0):
            delta = float(TRUTH.delta(N, D, **bits, post=post)) * np.exp(0.01 * rng.standard_normal())
            rows.append({"N": N, "D": D, **bits, "post": post, "loss": loss, "gap": loss, "delta": delta})
    table = pd.DataFrame(rows)
    low = np.isfinite(table["post"])
    after = {"post_method": np.where(low, "rtn", "none"), "post_scaling": np.where(low, "channel", "")}
    formats = {f"{x}_format": np.where(np.isfinite(table[x]), "INT4", "") for x in ("weights", "activations", "kv")}
    other = {"post_activations": OFF, "post_kv": OFF, "diverged": False, "step": 1, "steps": 1, "batch": "parts"}
    return table.assign(**after, **formats, **other)


def test_the_constants_of_a_simulated_table_are_found(rng):
    found = unified.unify(simulated(rng), rng=rng)
    fitted = found.fits["product, N_eff"].law.parameters
    for name in ("C_w", "C_a", "C_kv", "gamma_D", "gamma_N", "gamma_post"):
        assert fitted[name] == pytest.approx(TRUTH.parameters[name], rel=0.05), name
    assert found.judged.verdict == found.forms["product, N_eff"]
    share, band = unified.remaining(found, rng=rng)
    assert share == band.low == band.high == 0.0  # in a table of this law nothing is left where the product is zero


def test_the_open_table_needs_the_product_but_not_its_zero():
    found = unified.unify(ps.load_runs("precsim-2026"), rng=np.random.default_rng(1))
    scale = {name: fit.stages[0].scale for name, fit in found.fits.items()}
    assert max(scale["product, N"], scale["product, N_eff"]) < 0.7 * min(
        scale["no product, N"], scale["no product, N_eff"]
    )
    assert found.judged.verdict in (None, found.forms["product, N"], found.forms["product, N_eff"])
    assert (found.inside[["weights", "activations", "kv"]].min(axis=1) > found.inside["post"]).all()
    share, band = unified.remaining(found, rng=np.random.default_rng(2))
    assert band.low > 0.3  # activations of 3 bits in training leave most of the damage of 4-bit weights
    assert band.low < share < band.high < 1
