"""The laws that the explorer and the planner offer, each with its draws, its runs and where all of it comes from.

A function for each: it returns the arguments of `precsim.view.Explored`, which this package does not know.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from precsim import laws
from precsim.evidence import records, rows
from precsim.fitting.fits import fit
from precsim.fitting.uncertainty import Draws, bootstrap
from precsim.laws import published
from precsim.planning import design
from precsim.planning.budget import Choice
from precsim.runs import slices

_WIDTHS = (3, 4, 5, 6, 8, 12)
_GRID = ((3e7, 6e7, 1.1e8, 2.2e8), (1.5e9, 3e9, 6e9, 1.3e10, 2.6e10))  # of Kumar et al.: parameters, tokens
_NOISE = "noise of the loss were 0.5 %"


def _printed(law: laws.Law, name: str) -> dict[str, Any]:
    """A law of the catalog with its runs and its source."""
    entry = next(entry for entry in published.CATALOG if entry.law == law)
    if entry.runs is None:
        raise ValueError(f"the catalog does not know the runs of {entry.name}")
    return {"name": name, "law": law, "N": entry.runs.N, "D": entry.runs.D, "source": entry.source}


def kumar(draws: int = 200) -> dict[str, Any]:
    """Kumar et al.'s fit of integer formats, with the intervals that a grid like theirs would leave."""
    law, rng = published.KUMAR_2024, np.random.default_rng(1)
    choices = [Choice(), *(Choice(p) for p in _WIDTHS), *(Choice(kv=p) for p in _WIDTHS)]
    choices += [c for p in _WIDTHS[1:] for c in (Choice(activations=p), Choice.tied(p))]
    grid = design.candidates(*_GRID, choices)
    served = design.candidates(*_GRID, [Choice(post=p) for p in (3, 4, 5, 6)])
    trained = laws.Composite(law.parts[:4])
    spread = dict(design.expected_draws(trained, grid, noise=0.005, n=draws, rng=rng).values)
    spread |= design.expected_draws(law.parts[4], served, noise=0.1, n=draws, rng=rng).values
    note = (
        f"Integer formats, rounding to nearest. Intervals are expected, not measured: what {len(grid)} runs on a grid "
        "like the paper's, 0.5 % noise in the loss and 10 % in δ would leave open if the form were true."
    )
    own = {"note": note, "draws": Draws(law, spread), "assumed": f"{_NOISE}, of δ 10 %"}
    return _printed(law, "Kumar 2024") | own


def kumar_float(draws: int = 200) -> dict[str, Any]:
    """Kumar et al.'s fit of weights in floating point, with expected intervals likewise."""
    law, rng = published.KUMAR_2024_FLOAT, np.random.default_rng(3)
    grid = design.candidates(*_GRID, [Choice(), *(Choice(p) for p in _WIDTHS)])
    spread = design.expected_draws(law, grid, noise=0.005, n=draws, rng=rng)
    note = (
        f"Floating-point weights; activations and cache at 16 bits. Intervals are expected from {len(grid)} runs with "
        "0.5 % noise, not measured."
    )
    return _printed(law, "Kumar 2024, floating point") | {"note": note, "draws": spread, "assumed": _NOISE}


def kumar_main_text() -> dict[str, Any]:
    """Kumar et al.'s constants in the form without offsets."""
    note = "As printed in the text, without offsets: not what the fit was."
    return _printed(published.KUMAR_2024_MAIN_TEXT, "Kumar 2024, main-text form") | {"note": note}


def quest() -> dict[str, Any]:
    """Our fit to the public runs of QuEST and Quartet, with its stored bootstrap."""
    found = records.record("quest-qat")
    stored = found["fits"]["OuterExponent"]
    law = laws.Law.from_json(json.dumps(stored["law"]))
    spread = Draws(law, {name: np.array(v) for name, v in stored["stored_draws"].items()})
    count = found["source"]["rows_used"]
    return {
        "name": "QuEST runs, our fit",
        "law": law,
        "N": tuple(found["N"]),
        "D": tuple(found["D"]),
        "note": f"Our fit to {count} public runs with rotated quantizers: {stored['method']} intervals of "
        f"{len(stored['stored_draws']['E'])} draws. It says nothing of KV cache and serving.",
        "draws": spread,
        "source": "public runs of QuEST (arXiv 2502.05003) and Quartet (arXiv 2505.14669)",
    }


def ours(draws: int = 200) -> dict[str, Any]:
    """Our fit to the open table: small networks, the gap above the known entropy."""
    table = rows.open_table()
    trained, rounded = (slices.cells(some) for some in (rows.trained_weights(table), rows.damage(table)))
    cells = trained.merge(rounded, how="outer")
    form = laws.Chinchilla() | laws.Saturating(laws.WEIGHTS) | laws.KumarDegradation()
    found = fit(form, cells, strict=False)
    note = (
        f"Our fit to {int(cells['runs'].sum())} evaluations of the open table: small networks on synthetic languages, "
        f"weights only. It predicts the gap above the known entropy. {draws} bootstrap draws of cells."
    )
    return {
        "name": "Our runs, the open table",
        "law": found.law,
        "N": (float(cells["N"].min()), float(cells["N"].max())),
        "D": (float(cells["D"].min()), float(cells["D"].max())),
        "note": note,
        "draws": bootstrap(found, n=draws, rng=np.random.default_rng(2)),
        "source": "the open table, precsim-2026",
        "predicts": "gap",
        "furthest": 10.0,
    }


def ouyang() -> dict[str, Any]:
    """Ouyang et al.'s law of quantizing after training, with their law of the loss."""
    note = "Quantizing after training only. No intervals are published."
    return _printed(published.OUYANG_2024_LOSS, "Ouyang 2024, with loss") | {"note": note}


def epoch() -> dict[str, Any]:
    """The Chinchilla law as Epoch fitted it again: parameters and tokens, no bits."""
    note = "Parameters and tokens only: it reads no bits. No draws are published with it."
    return _printed(published.EPOCH_2024, "Epoch 2024") | {"note": note}


def hoffmann() -> dict[str, Any]:
    """The Chinchilla law as first printed: parameters and tokens, no bits."""
    note = "Parameters and tokens only, as first printed: it reads no bits."
    return _printed(published.HOFFMANN_2022, "Hoffmann 2022") | {"note": note}


def explored() -> tuple[dict[str, Any], ...]:
    """What the explorer offers, in the order of its list."""
    return kumar(), quest(), ours(), ouyang(), kumar_main_text()


def planned() -> tuple[dict[str, Any], ...]:
    """What the planner offers: laws with a base whose bits are those of a tensor, or that read none."""
    return kumar(), kumar_float(), quest(), ours(), ouyang(), epoch(), hoffmann()
