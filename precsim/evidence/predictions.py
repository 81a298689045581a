"""What laws fitted to small networks say of networks nobody had trained yet, written down first, and how it came out.

The predictions for the second edition's held-out networks are in ``data/predictions-2.json``, made by
``python -m precsim.evidence.predictions`` from the batches `gate` and `laws` before the batch `large` was trained.
Each law gives ln of the gap, or of δ at some bits, with a standard deviation: of its coefficients, by drawing the
cells again, and of a cell around it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from precsim.evidence import rows
from precsim.fitting.fits import fit
from precsim.laws import Chinchilla, KumarDegradation
from precsim.runs import Table, load_runs
from precsim.runs.columns import Copies
from precsim.writing import write

#: (N, D) of the networks held out; the batch `large` declares them.
HELD_OUT = ((3_145_728, 48_824_320), (3_145_728, 122_077_184), (3_145_728, 305_168_384), (10_616_832, 122_077_184))
#: sha256 of the file of predictions, which is never written again.
DIGEST = "90997554deb7a0eebf69fca466c4aa9631bc3c87013cbee9f245f99f0f2787dd"
BITS = (3, 4, 6)
_DRAWS = 40
_SEED = 2027
_AS_DRAWN: dict[str, Any] = {"strict": False, "copies": Copies.WEIGHT}  # a draw has cells twice
_FILE = "predictions-2.json"

Columns = Callable[[Table], list[np.ndarray]]


def _power(cells: Table) -> list[np.ndarray]:
    return [np.log(cells["D"]), np.log(cells["N"])]


def _concave(cells: Table) -> list[np.ndarray]:
    return [*_power(cells), np.log(cells["D"]) ** 2]


def cells_of(table: Table) -> tuple[Table, Table]:
    """(Means of ln gap, means of ln δ by bits), one row for each N and D, with the number of runs and their spread."""
    trained = rows.standard_block(table)
    rounded = rows.rounded(trained, (3, 4, 5, 6))
    rounded = rounded.assign(delta=np.log(rounded["delta"]), second_order=np.log(rounded["second_order"]))
    ends = trained.loc[trained["post_method"].eq("none")]
    ends = ends.assign(gap=np.log(ends["gap"]))
    by, named = ["N", "D"], {"runs": ("job", "size")}
    gaps = ends.groupby(by, as_index=False).agg(gap=("gap", "mean"), spread=("gap", "std"), **named)
    means = {"delta": ("delta", "mean"), "second_order": ("second_order", "mean"), "spread": ("delta", "std")}
    return gaps, rounded.groupby([*by, "post"], as_index=False).agg(**means, **named)


def predict(
    table: Table, rng: np.random.Generator, held_out: tuple[tuple[int, int], ...] = HELD_OUT
) -> list[dict[str, Any]]:
    """Every law's prediction for every held-out network: rows of N, D, what, law, ln and sd (both in ln).

    Parameters
    ----------
    table : DataFrame
        With the batches `gate` and `laws`; nothing else of it is used.
    rng : numpy.random.Generator
        Draws cells.
    held_out : tuple of (int, int)
        N and D of the networks.
    """
    new = pd.DataFrame(held_out, columns=["N", "D"], dtype=float)
    gaps, deltas = cells_of(table)
    found: list[dict[str, Any]] = []

    def keep(law: str, cells: Table, fitted: Callable[[Table], dict[str, tuple[np.ndarray, float]]]) -> None:
        draws = [fitted(cells.sample(len(cells), replace=True, random_state=rng)) for _ in range(_DRAWS)]
        for what, (values, misfit) in fitted(cells).items():
            spread = np.hypot(np.std([draw[what][0] for draw in draws], axis=0), misfit)
            for (N, D), value, sd in zip(held_out, values, spread, strict=True):
                row = {"N": N, "D": D, "what": what, "law": law}
                found.append(row | {"ln": round(float(value), 4), "sd": round(float(sd), 4)})

    for least, words in ((0, ""), (rows.UNDERTRAINED, f", D/N >= {rows.UNDERTRAINED}")):
        late = rows.late(deltas, least)
        for law, columns in {"power law": _power, "concave in ln D": _concave}.items():
            for bits in BITS:
                cells, name = late.loc[late["post"].eq(bits)], f"delta at {bits} bits"
                keep(law + words, cells, lambda c, f=columns, n=name: {n: _line(f, c, c["delta"], new)})
        keep("Chinchilla, E known" + words, rows.late(gaps, least), lambda c: _chinchilla(c, new))
    late = rows.late(deltas)
    keep(f"Kumar's form, D/N >= {rows.UNDERTRAINED}", late, lambda c: _kumar(c, new))
    curved = late.loc[np.isfinite(late["second_order"])]
    for bits in BITS:
        cells, name = curved.loc[curved["post"].eq(bits)], f"delta at {bits} bits"
        law = f"second order, measured curvature, D/N >= {rows.UNDERTRAINED}"
        keep(law, cells, lambda c, n=name: {n: _line(_power, c, c["second_order"], new)})
    return found


def _line(columns: Columns, cells: Table, y: pd.Series, new: Table) -> tuple[np.ndarray, float]:
    """Least squares of y on the columns: values for the networks held out, and the standard deviation of a cell."""

    def design(table: Table) -> np.ndarray:
        return np.column_stack([np.ones(len(table)), *columns(table)])

    x = design(cells)
    solution = np.linalg.lstsq(x, y, rcond=None)[0]
    left = max(len(x) - x.shape[1], 1)
    return design(new) @ solution, float(np.sqrt(((y - x @ solution) ** 2).sum() / left))


def _chinchilla(cells: Table, new: Table) -> dict[str, tuple[np.ndarray, float]]:
    law = fit(Chinchilla(E=0.0), _plain(cells, loss=np.exp(cells["gap"])), **_AS_DRAWN).law
    misfit = cells["gap"] - np.log(law(cells["N"], cells["D"]))
    return {"gap": (np.log(law(new["N"], new["D"])), float(np.sqrt((misfit**2).mean())))}


def _kumar(cells: Table, new: Table) -> dict[str, tuple[np.ndarray, float]]:
    law = fit(KumarDegradation(), _plain(cells, post=cells["post"], delta=np.exp(cells["delta"])), **_AS_DRAWN).law
    found = {}
    for bits in BITS:
        some = cells.loc[cells["post"].eq(bits)]
        misfit = some["delta"] - np.log(law(some["N"], some["D"], post=some["post"]))
        values = np.log(law(new["N"], new["D"], post=np.full(len(new), float(bits))))
        found[f"delta at {bits} bits"] = values, float(np.sqrt((misfit**2).mean()))
    return found


def _plain(cells: Table, **columns: pd.Series) -> dict[str, np.ndarray]:
    return {name: np.asarray(column) for name, column in {"N": cells["N"], "D": cells["D"], **columns}.items()}


def predictions() -> dict[str, Any]:
    """What was written down: the table that it was made from, and the rows of `predict`.

    Raises
    ------
    ValueError
        If the file is not the one that was committed before the runs.

    Examples
    --------
    >>> sorted(predictions())
    ['batches', 'predictions', 'seed', 'table']
    """
    return written(_FILE, DIGEST)


def written(file: str, digest: str) -> dict[str, Any]:
    """A file of predictions, if it is the one that was committed before the runs: its sha256 is this one."""
    content = files("precsim.data").joinpath(file).read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != digest:
        raise ValueError(f"{file} has sha256 {found}; what was written before the runs has {digest}")
    return json.loads(content)


def score(table: Table) -> Table:
    """Predictions beside what was measured, one row for each network, quantity and law that the table has.

    Returns
    -------
    DataFrame
        Columns N, D, what, law, predicted, measured (mean over the languages, in the quantity's unit), runs, error
        (measured over predicted, in ln), sd (predicted, with the spread of the measured mean), inside (of the interval
        of 95 %), log_score (ln density of ln measured: larger is better).
    """
    ends = table.loc[table["batch"].eq("large") & table["step"].eq(table["steps"])]
    parts = {"gap": ends.loc[ends["post_method"].eq("none")].assign(value=lambda r: np.log(r["gap"]))}
    for bits in BITS:
        parts[f"delta at {bits} bits"] = rows.rounded(ends, (bits,)).assign(value=lambda r: np.log(r["delta"]))
    means = [
        part.groupby(["N", "D"], as_index=False)
        .agg(measured=("value", "mean"), runs=("value", "size"))
        .assign(what=what, noise=lambda m, w=what: _spread(table, w) / np.sqrt(m["runs"]))
        for what, part in parts.items()
        if len(part)
    ]
    if not means:
        raise ValueError("the table has no network that was held out: batch 'large' is not trained")
    found = pd.DataFrame(predictions()["predictions"]).merge(pd.concat(means), on=["N", "D", "what"])
    sd = np.hypot(found["sd"], found["noise"])
    error = found["measured"] - found["ln"]
    found = found.assign(
        predicted=np.exp(found["ln"]),
        measured=np.exp(found["measured"]),
        error=error,
        sd=sd,
        inside=error.abs() < 1.96 * sd,
        log_score=-0.5 * (error / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi)),
    )
    return found[["N", "D", "what", "law", "predicted", "measured", "runs", "error", "sd", "inside", "log_score"]]


def _spread(table: Table, what: str) -> float:
    """Standard deviation of ln of a quantity between runs of one cell, over the cells that laws are fitted to."""
    gaps, deltas = cells_of(table)
    cells = gaps if what == "gap" else deltas.loc[deltas["post"].eq(float(what.split()[2]))]
    cells = rows.late(cells)
    return float(np.sqrt((cells["spread"] ** 2).mean()))


def main() -> None:
    """Write the file of predictions; refuses if it is there, or if the networks are trained already."""
    path = Path(str(files("precsim.data").joinpath(_FILE)))
    table = load_runs("precsim-2027")
    if path.exists() or "large" in set(table["batch"]):
        raise SystemExit(f"{path.name} is there, or what it is about is trained: predictions are made once, before")
    made_from = json.loads(files("precsim.data").joinpath("precsim-2027.json").read_text())["sha256"]
    found = predict(table, np.random.default_rng(_SEED))
    record = {"table": made_from["precsim-2027.parquet"], "batches": ["gate", "laws"], "seed": _SEED}
    lines = ",\n".join("  " + json.dumps(row) for row in found)
    write(path, json.dumps(record)[:-1] + ',\n "predictions": [\n' + lines + "\n ]}\n")


if __name__ == "__main__":
    main()
