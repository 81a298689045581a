"""The bend in the tables: cells by hand, constants from made-up cells, predictions written once, before the runs."""

import hashlib
from importlib import resources

import numpy as np
import pandas as pd
import pytest
from support.commits import record_before

import precsim as ps
from precsim.evidence import bend, bend_foretold
from precsim.evidence.bend import BEND, POWER, Response
from precsim.evidence.experiments import second_edition
from precsim.runs import Table

FILE, RECORD = "precsim/data/predictions-3.json", "precsim/data/precsim-2027.json"
ABOUT = ("larger", "penalties", "parts")


@pytest.fixture(scope="module")
def table() -> Table:
    return ps.load_runs("precsim-2027")


@pytest.fixture(scope="module")
def scored(table) -> Table:
    return bend_foretold.score(table)


def made(gap: float, *, weights=np.inf, deltas=(), seed=0) -> pd.DataFrame:
    """Evaluations of one network: as trained, and rounded by channel to the bits of `deltas`."""
    same = {"N": 1000, "D": 10**6, "language_seed": 0, "seed": seed, "weights": weights, "step": 9, "steps": 9}
    same |= {"post_activations": np.inf, "post_kv": np.inf, "post_scaling": "channel"}
    rows = [same | {"gap": gap, "post_method": "none", "post": np.inf, "post_format": "", "delta": 0.0}]
    for bits, delta in deltas:
        more = {"gap": gap + delta, "post_method": "rtn", "post": float(bits), "post_format": f"INT{bits}"}
        rows.append(same | more | {"delta": delta})
    return pd.DataFrame(rows)


def test_a_cell_by_hand():
    """Two seeds: gaps added .02 and .04, twins' δ .03 and .05; after training at 4 bits .06 and .04 of .1 and .1."""
    full = pd.concat([made(0.2, deltas=((3, 0.1), (4, 0.03))), made(0.3, deltas=((3, 0.1), (4, 0.05)), seed=1)])
    few = pd.concat(
        [made(0.22, weights=4.0, deltas=((3, 0.06),)), made(0.34, weights=4.0, deltas=((3, 0.04),), seed=1)]
    )
    (row,) = bend.cells(full, few).to_dict("records")
    assert (row["bits"], row["pairs"], row["languages"]) == (4.0, 2, 1)
    assert [row[name] for name in ("gap", "delta", "kept")] == pytest.approx([0.03, 0.04, 0.5])
    assert row["se"] == pytest.approx(np.std([0.02, 0.04], ddof=1) / np.sqrt(2) / 0.03)


@pytest.mark.parametrize(("form", "constants"), [(BEND, (0.03,)), (POWER, (0.4, 0.7))])
def test_constants_are_found_and_forms_undo_themselves(form, constants):
    delta, truth = np.geomspace(1e-3, 1.0, 30), Response(form, constants, 0.0)
    found = bend.fit_response(form, pd.DataFrame({"delta": delta, "gap": truth(delta), "se": 0.01}))
    assert found.constants == pytest.approx(constants, rel=1e-5)
    assert found.spread < 1e-6
    assert form.inverse(truth(delta), *constants) == pytest.approx(delta)
    slope = (truth(delta * 1.0001) - truth(delta / 1.0001)) / (delta * (1.0001 - 1 / 1.0001))
    assert truth.kept(delta) == pytest.approx(slope, rel=1e-6)


def test_cells_that_drown_in_luck_say_nothing_of_a_form():
    cells = pd.DataFrame({"delta": [0.01, 0.1, 0.1], "gap": [0.01, 0.07, 5.0], "se": [0.1, 0.1, 0.3]})
    assert len(bend.known(cells)) == 2
    assert len(bend.known(cells.assign(gap=[-0.01, 0.07, 5.0]))) == 1


def test_tensors_of_made_up_networks_and_the_rules_that_are_judged():
    """Three tensors whose damages add before a bend at 0.1: its constant comes back, and both other rules miss."""
    G, rows = Response(BEND, (0.1,), 0.0), []
    off = {"weights": np.inf, "activations": np.inf, "kv": np.inf}
    for n, scale in enumerate((0.02, 0.1, 0.4)):
        damages = {"weights": scale, "activations": 2 * scale, "kv": scale / 3}
        for chosen in ((), ("weights",), ("activations",), ("kv",), ("weights", "kv"), tuple(off)):
            bits = off | dict.fromkeys(chosen, 4.0)
            gap = 0.5 + float(G(sum(damages[name] for name in chosen)))
            words = {f"{name}_format": "INT4" if name in chosen else "" for name in off}
            words |= {"activations_scaling": "token" if "activations" in chosen else ""}
            rows.append(
                {"N": 10**5, "D": 10**6 * (n + 1), "language_seed": 0, "seed": 0, "batch": "parts", "gap": gap}
                | {"step": 1, "steps": 1, "diverged": False, "post": np.inf} | bits | words
            )  # fmt: skip
    found = bend.tensors(pd.DataFrame(rows))
    assert len(found) == 6
    assert bend.fit_joint(BEND, found).constants == pytest.approx((0.1,), rel=1e-5)
    others = bend.rivals(found)
    assert (others["product"] < others["sum"]).all()
    assert (others["sum"] < 0).all()
    last = found.iloc[-1]
    one = np.log(last["together"] / (0.5 * (np.prod([1 + a / 0.5 for a in last["alone"]]) - 1)))
    assert others["product"].iloc[-1] == pytest.approx(one)


def test_the_file_is_the_one_that_was_written_before_the_runs(monkeypatch):
    content = resources.files("precsim.data").joinpath("predictions-3.json").read_bytes()
    assert hashlib.sha256(content).hexdigest() == bend_foretold.DIGEST
    monkeypatch.setattr(bend_foretold, "DIGEST", "0" * 64)
    with pytest.raises(ValueError, match="before the runs"):
        bend_foretold.foretold()
    with pytest.raises(SystemExit, match="before"):
        bend_foretold.main()


def test_its_commit_precedes_the_runs_and_the_table_it_was_made_from_had_none_of_them():
    before = record_before(FILE, RECORD)
    assert before["sha256"]["precsim-2027.parquet"] == bend_foretold.foretold()["table"]
    assert not set(ABOUT) & set(before["batches"])


def test_everything_that_was_said_of_a_network_is_scored(scored):
    said = pd.DataFrame(bend_foretold.foretold()["networks"])
    assert len(scored) == len(said)
    jobs = {(job.N, job.D) for job in second_edition.larger() if job.recipe.weights is None}
    assert jobs == set(bend_foretold.HELD_OUT)
    assert set(said["name"]) - {"standard"} <= set(second_edition.variants(64))


@pytest.mark.weekly  # twenty seconds; the file is frozen by its digest
def test_what_was_written_is_what_the_earlier_batches_give(table):
    """Computed again from the same rows, without the batches that it is about."""
    said = bend_foretold.foretold()
    earlier = table.loc[table["batch"].isin(["gate", "laws", "bits", "architecture", "large", "recipes"])]
    rng = np.random.default_rng(said["seed"])
    again = bend_foretold.foretell(earlier, ps.load_runs("precsim-2026"), rng)
    by = ["name", "N", "D", "what", "law"]
    both = pd.DataFrame(said["networks"]).merge(pd.DataFrame(again["networks"]), on=by)
    assert len(both) == len(said["networks"])
    np.testing.assert_allclose(both["ln_x"], both["ln_y"], atol=2e-3)  # rounded to four digits; draws of other rows
    assert again["tensors"]["K"] == pytest.approx(said["tensors"]["K"], rel=1e-3)


def test_page_the_bend_of_several_tensors_is_right_and_the_product_is_not(table):
    found = bend_foretold.score_tensors(table)
    rms = {rule: float(np.sqrt((found[rule] ** 2).mean())) for rule in ("bend", "sum", "product")}
    assert rms["bend"] < 0.12 < rms["sum"] < rms["product"]
    assert found["product"].mean() < -0.1
    assert abs(found["bend"].mean()) < 0.05


def test_page_the_gap_at_four_bits_is_inside_and_what_is_kept_is_not(scored):
    law = scored.loc[scored["law"].eq(BEND.title)]
    four = law.loc[law["what"].eq("gap added at 4 bits")]
    assert four["inside"].all()
    kept = law.loc[law["what"].str.startswith("damage at 3 bits kept")]
    assert (kept["error"] > 0).all()
    assert kept["inside"].mean() < 0.5
