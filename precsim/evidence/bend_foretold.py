"""What the bend says of runs that nobody had trained yet, written down first, and how it came out.

``data/predictions-3.json`` was made by ``python -m precsim.evidence.bend_foretold`` from the second edition's batches
`gate`, `laws`, `bits` and `architecture` (and, for several tensors, the first edition's batch of parts), before the
batches `larger`, `penalties` and `parts` were trained. Everything is in ln, with a standard deviation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from precsim.evidence import predictions, rows
from precsim.evidence.bend import BEND, POWER, Response, cells, fit_joint, fit_response, known, padded, rivals, tensors
from precsim.evidence.experiments import second_edition
from precsim.runs import Table, load_runs
from precsim.writing import write

#: (N, D) of networks in full precision beyond all others; the batch `larger` declares them.
HELD_OUT = ((3_145_728, 762_937_344), (10_616_832, 305_168_384), (31_457_280, 629_145_600))
#: sha256 of the file of predictions, which is never written again.
DIGEST = "f223883253e5a87e848529526c5bc86499dc9f7c27aac44298d817d9517f8d4c"
_FILE = "predictions-3.json"
_DRAWS, _SEED = 200, 2028
_TRAINED = (3, 4)
_NULL = "as in the standard block"


def measured_bend(table: Table) -> Table:
    """`bend.cells` of the standard block: batches `gate` and `bits` beside `laws`, products in any arithmetic."""
    full = rows.standard_block(table)
    trained = table.loc[table["batch"].isin(["gate", "bits"]) & np.isfinite(table["weights"])]
    return cells(full, trained.loc[trained["model"].isin(set(full["model"]))])


def measured_bend_of_first(first: Table) -> Table:
    """The same of the first edition: its main batch and repeats beside models trained in 3 to 6 bits."""
    ended = rows.sized(first.loc[first["batch"].isin(rows.FULL) & first["step"].eq(first["steps"])])
    trained = ended.loc[ended["weights"].isin([3.0, 4.0, 5.0, 6.0])]
    return cells(rows.in_full(ended), trained)


def foretell(table: Table, first: Table, rng: np.random.Generator) -> dict[str, Any]:
    """All predictions: "networks" (rows of name, N, D, what, law, ln, sd) and "tensors" (constants of the joint law).

    Parameters
    ----------
    table : DataFrame
        The second edition: batches `gate`, `laws`, `bits`, `architecture`, `large`; nothing else of it is used.
    first : DataFrame
        The first edition, for what several tensors add together.
    rng : numpy.random.Generator
        Draws cells.
    """
    standard = known(measured_bend(table))
    found = [row | {"name": "standard"} for row in predictions.predict(table, rng, HELD_OUT)]
    drawn = {form.title: _drawn(form, standard, rng) for form in (BEND, POWER)}
    drawn[f"{BEND.title}, K of the first edition"] = _drawn(BEND, known(measured_bend_of_first(first)), rng)
    for name, N, D, delta in _twins(table):
        for bits, damage in delta.items():
            where = {"name": name, "N": N, "D": D}
            for law, (G, draws) in drawn.items():
                said = np.log(G(damage))
                sd = np.hypot(np.std([np.log(one(damage)) for one in draws]), G.spread)
                found.append(where | _row(f"gap added at {bits} bits", law, said, sd))
                if bits == 4:
                    kept = standard.loc[standard["kept"].notna()]
                    left = float(np.std(np.log(kept["kept"] / G.kept(kept["delta"])), ddof=1))
                    said = np.log(G.kept(damage))
                    found.append(where | _row("damage at 3 bits kept, trained at 4", law, said, left))
            for what, column in (("gap added at {} bits", "gap"), ("damage at 3 bits kept, trained at {}", "kept")):
                same = standard.loc[standard["N"].eq(N) & standard["D"].eq(D) & standard["bits"].eq(bits), column]
                if len(same.dropna()):
                    found.append(where | _row(what.format(bits), _NULL, np.log(same.iloc[0]), 0.1))
    joint = tensors(first)
    G = fit_joint(BEND, joint)
    draws = [fit_joint(BEND, joint.iloc[rng.integers(len(joint), size=len(joint))]).constants[0] for _ in range(_DRAWS)]
    others = rivals(joint)
    said = {name: round(float(np.sqrt((others[name] ** 2).mean())), 4) for name in others}
    low, high = np.quantile(draws, [0.025, 0.975])
    constants = {"K": round(G.constants[0], 5), "low": round(low, 5), "high": round(high, 5)}
    return {"networks": found, "tensors": constants | {"spread": {BEND.title: round(G.spread, 4)} | said}}


def _twins(table: Table) -> Iterator[tuple[str, int, int, dict[int, float]]]:
    """(Variant, N, D, mean δ by bits) of the twins in full precision of what is to be trained in few bits."""
    variants = second_edition.compared()
    del variants["standard"]  # its few-bit models are what G is fitted to
    for name, keys in variants.items():
        here = table.loc[table["job"].isin(keys)]
        for D in sorted({job.D for job in second_edition.penalties()}):
            yield from _twin(name, here.loc[here["D"].eq(D) & here["N"].eq(98_304)], _TRAINED)
    large = table.loc[table["batch"].eq("large") & table["N"].eq(HELD_OUT[0][0])]
    for D in sorted(set(large["D"]))[:2]:
        yield from _twin("standard", large.loc[large["D"].eq(D)], (4,))


def _twin(name: str, twins: Table, bits: tuple[int, ...]) -> Iterator[tuple[str, int, int, dict[int, float]]]:
    if twins.empty:
        return  # not trained yet: nothing is said
    delta = {b: float(rows.rounded(twins, (b,))["delta"].mean()) for b in bits}
    yield name, int(twins["N"].iloc[0]), int(twins["D"].iloc[0]), delta


def _drawn(form: Any, found: Table, rng: np.random.Generator) -> tuple[Response, list[Response]]:
    draws = [fit_response(form, found.iloc[rng.integers(len(found), size=len(found))]) for _ in range(_DRAWS)]
    return fit_response(form, found), draws


def _row(what: str, law: str, ln: Any, sd: Any) -> dict[str, Any]:
    return {"what": what, "law": law, "ln": round(float(ln), 4), "sd": round(float(sd), 4)}


def foretold() -> dict[str, Any]:
    """What was written down: "networks" and "tensors", as of `foretell`, and the table that it was made from.

    Raises
    ------
    ValueError
        If the file is not the one that was committed before the runs.

    Examples
    --------
    >>> sorted(foretold())
    ['networks', 'seed', 'table', 'tensors']
    """
    return predictions.written(_FILE, DIGEST)


def score(table: Table) -> Table:
    """Predictions beside what was measured: a row for each network, quantity and law of the file that the table has.

    Returns
    -------
    DataFrame
        name, N, D, what, law, predicted, measured (means over languages and seeds), error (measured over predicted, in
        ln), sd (predicted), inside (of the interval of 95 %).
    """
    seen = []
    for name, N, D, what, value in _measured(table):
        seen.append({"name": name, "N": N, "D": D, "what": what, "measured": value})
    found = pd.DataFrame(foretold()["networks"]).merge(pd.DataFrame(seen), on=["name", "N", "D", "what"])
    error = np.log(found["measured"]) - found["ln"]
    inside = np.abs(error) < 1.96 * found["sd"]
    found = found.assign(predicted=np.exp(found["ln"]), error=error, inside=inside)
    return found[["name", "N", "D", "what", "law", "predicted", "measured", "error", "sd", "inside"]]


def score_tensors(table: Table) -> Table:
    """The batch of parts beside three rules: the bend with the constant that was written down, the sum, the product.

    Returns
    -------
    DataFrame
        The columns of `bend.tensors`, and for each rule ln of seen over said: bend, sum, product.
    """
    found = tensors(table)
    K = foretold()["tensors"]["K"]
    said = Response(BEND, (K,), 0.0).joint(padded(found))
    return pd.concat([found.assign(bend=np.log(found["together"] / said)), rivals(found)], axis=1)


def _measured(table: Table) -> Iterator[tuple[str, int, int, str, float]]:
    """(Variant, N, D, what, value) of all that the file speaks of."""
    trained: dict[str, set[str]] = {}
    for name, fields in second_edition.variants(64).items():
        jobs = [job.key for job in second_edition.penalties_of(fields)]
        trained.setdefault(name, set()).update(jobs)
    twins = second_edition.compared()
    groups = [(name, table["job"].isin(twins[name]), table["job"].isin(keys)) for name, keys in trained.items()]
    few = table["batch"].eq("larger") & np.isfinite(table["weights"])
    groups.append(("standard", table["batch"].eq("large"), few))
    for name, full, low in groups:
        for row in cells(table.loc[full], table.loc[low]).itertuples():
            yield name, row.N, row.D, f"gap added at {row.bits:g} bits", row.gap
            if np.isfinite(row.kept):
                yield name, row.N, row.D, f"damage at 3 bits kept, trained at {row.bits:g}", row.kept
    ends = table.loc[table["batch"].eq("larger") & np.isinf(table["weights"]) & table["step"].eq(table["steps"])]
    for (N, D), part in ends.loc[ends["post_method"].eq("none")].groupby(["N", "D"]):
        yield "standard", N, D, "gap", float(np.exp(np.log(part["gap"]).mean()))
    for bits in predictions.BITS:
        for (N, D), part in rows.rounded(ends, (bits,)).groupby(["N", "D"]):
            yield "standard", N, D, f"delta at {bits} bits", float(np.exp(np.log(part["delta"]).mean()))


def main() -> None:
    """Write the file of predictions; refuses if it is there, or if what it is about is trained already."""
    path = Path(str(files("precsim.data").joinpath(_FILE)))
    table = load_runs("precsim-2027")
    if path.exists() or {"larger", "penalties", "parts"} & set(table["batch"]):
        raise SystemExit(f"{path.name} is there, or what it is about is trained: predictions are made once, before")
    made_from = json.loads(files("precsim.data").joinpath("precsim-2027.json").read_text())["sha256"]
    found = foretell(table, load_runs("precsim-2026"), np.random.default_rng(_SEED))
    record = {"table": made_from["precsim-2027.parquet"], "seed": _SEED, "tensors": found["tensors"]}
    lines = ",\n".join("  " + json.dumps(row) for row in found["networks"])
    write(path, json.dumps(record)[:-1] + ',\n "networks": [\n' + lines + "\n ]}\n")


if __name__ == "__main__":
    main()
