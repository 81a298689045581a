"""The command as a test calls it, and what it works on."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd

import precsim as ps
from precsim.cli import main

SMALL = """
language = {kind = "zipf-facts", vocabulary = 8}
batch_tokens = 64
tokens = [640, 1280]
post = ["INT3", "INT4"]
[[grid]]
model = {kind = "mlp", width = 4}
recipe = [{weights = "INT3"}, "none"]
"""


def call(capsys, *words) -> tuple[int, str, str]:
    """Status, output and errors of `precsim` with these words."""
    status = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out, err


def table_in(folder: Path) -> Path:
    """Losses and damages of a known law with seed noise, as a file."""
    rng = np.random.default_rng(11)
    law = ps.laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    law = law | ps.laws.Saturating(ps.laws.WEIGHTS, c=8.0, gamma=1.2)
    law = law | ps.laws.KumarDegradation(C_T=0.06, gamma_D=0.5, gamma_N=0.35, gamma_post=0.6)
    rows = []
    cells = itertools.product(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 5e10, 4), (3.0, 4.0, 6.0, math.inf))
    for k, (N, D, weights) in enumerate(cells):
        noise = math.exp(0.002 * rng.standard_normal())
        for post in (math.inf, 3.0, 4.0):
            delta = 0.0 if math.isinf(post) else float(law.delta(N, D, weights=weights, post=post))
            delta *= math.exp(0.05 * rng.standard_normal())
            loss = float(law(N, D, weights=weights)) * noise + delta
            rows.append(
                {"job": f"j{k}", "N": N, "D": D, "weights": weights, "post": post, "loss": loss, "delta": delta}
            )
    path = folder / "runs.parquet"
    pd.DataFrame(rows).to_parquet(path, index=False)
    return path


def store_in(folder: Path) -> Path:
    """What the sweep of `SMALL` leaves, as a file; the grid lies beside it."""
    (folder / "grid.toml").write_text(SMALL, encoding="utf-8")
    assert main(["sweep", str(folder / "grid.toml"), "--store", str(folder / "runs.db"), "--quiet"]) == 0
    return folder / "runs.db"
