"""The second edition's table: declared, whole, unchanged, and its gate."""

import hashlib
import json
from importlib import resources

import numpy as np
import pytest

import precsim as ps
from precsim.evidence.experiments.second_edition import batches
from precsim.models import Recipe
from precsim.training import populations_of, train_population
from precsim.training.job import Compute

FOLDER = resources.files("precsim.data")
RECORD = json.loads((FOLDER / "precsim-2027.json").read_text())


@pytest.fixture(scope="module")
def table():
    return ps.load_runs("precsim-2027")


@pytest.fixture(scope="module")
def declared():
    return batches()


def test_every_row_belongs_to_a_declared_job_and_what_is_absent_is_said(table, declared):
    jobs = {job.key: (name, job) for name, made in declared.items() for job in made}
    ends = table[table["post_method"].eq("none")].set_index("job")
    assert ends.index.is_unique
    assert set(ends.index) == set(table["job"]) <= set(jobs)
    assert not table["diverged"].any()
    for key, row in ends.iterrows():
        name, job = jobs[key]
        assert (row["batch"], row["model"], row["D"], row["seed"]) == (name, str(job.model), job.D, job.seed)
        assert (row["learning_rate"], row["weight_decay"]) == (job.rate, job.decay)
        assert row["holdout"] == job.holdout
    looks = ends["batch"].map(lambda name: {"parts": 28, "methods": 32}.get(name, 26))  # itself and its treatments
    assert table.groupby("job").size().eq(looks).all()
    card = (FOLDER / "SOURCES.md").read_text()
    for name, digest in RECORD["sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest
        assert digest in card
    made = ends["batch"].value_counts().to_dict()
    for name, count in RECORD["batches"].items():
        assert count == {"declared": len(declared[name]), "made": made.get(name, 0)}
        if count["made"] < count["declared"]:  # absent, with its number, where a reader of the card finds it
            assert f"{name}: {count['made']} of {count['declared']}" in card
    assert set(RECORD["batches"]) == set(declared)
    assert RECORD["models"] == len(ends)


def test_batches_are_declared_once_and_have_so_many_models_a_cell(declared):
    jobs = [job for batch in declared.values() for job in batch]
    assert len({job.key for job in jobs}) == len(jobs)
    six = ("gate", "laws", "bits", "recipes", "parts", "share", "recipes_by_size", "methods")
    three = ("architecture", "large", "larger", "penalties", "controls")
    for names, most in ((six, 6), (three, 3)):
        cells = {}
        for job in (job for name in names for job in declared[name]):
            trained = (job.rate_of_embedding, job.decay, job.embedding_decays)
            trained += (job.rate, job.batch, job.in_force)
            key = (job.model, job.tokens, job.recipe, job.compute, *trained)
            cells.setdefault(key, set()).add((job.language.seed, job.seed))
        sizes = [len(seeds) for seeds in cells.values()]
        assert set(sizes) <= {most, 1}
        assert sizes.count(1) == 2 * names.count("large")  # the largest networks
    assert all(job.compute is Compute.OPERANDS and job.recipe == Recipe() for job in declared["laws"])


def test_bfloat16_operands_passed_the_gate(table, declared):
    """Six pairs a cell: the mean of ln delta at 4 bits within 0.1, of ln gap within 1 %, of what TF32 gives."""
    jobs = {job.key: job for job in declared["gate"]}
    rows = table[table["job"].isin(jobs)]
    found = {}
    for key, part in rows.groupby("job"):
        job = jobs[key]
        delta = part.loc[part["post_format"].eq("INT4") & part["post_scaling"].eq("channel"), "delta"].item()
        pair = (job.model, job.recipe, job.language, job.seed)
        found.setdefault(pair, {})[job.compute] = part.loc[part["post_method"].eq("none"), "gap"].item(), delta
    cells = {}
    for (model, recipe, *_), both in found.items():
        if len(both) == 2:
            narrow, usual = np.array(both[Compute.OPERANDS]), np.array(both[Compute.TF32])
            cells.setdefault((model, recipe), []).append((np.log(narrow[0] / usual[0]), narrow[1], usual[1]))
    assert len(cells) == 4
    for (_, recipe), pairs in cells.items():
        gap, narrow, usual = np.array(pairs).T
        assert len(gap) == 6
        assert abs(gap.mean()) < 0.01
        if recipe == Recipe():  # trained at 4 bits, rounding to 4 changes nothing
            assert abs(np.log(narrow / usual).mean()) < 0.1


@pytest.mark.slow  # two to six minutes
def test_twenty_rows_trained_again_on_this_processor(table, declared):
    """Twenty of the cheapest, drawn by a seed: full precision, weights in 3, 4 and 6 bits, and text.

    An H200 multiplied operands of bfloat16 and summed in another order. Over the 244 or 610 steps of these runs that
    grows, but to less than the luck of a seed, whose spread of the gap is 1.3 %: as trained 2 % are allowed (here the
    furthest, trained in 3 bits, comes out at 1.0 %). Damage is a small difference and scatters more, by a tenth to a
    fifth in the logarithm from seed to seed: of that of 0.03 nats or more the median may be a fifth off, and none by a
    factor of two.
    """
    cheap = [job for name in ("laws", "bits", "text") for job in declared[name] if 6 * job.N * job.D < 2e11]
    drawn = [cheap[i] for i in np.random.default_rng(2027).permutation(len(cheap))[:20]]
    again = [
        one
        for group in populations_of(drawn, 4)
        for one in train_population(group.jobs, members=group.members, together=group.together)
    ]
    assert {one.job.key for one in again} == {job.key for job in drawn}
    for one in again:
        rows = table[table["job"].eq(one.job.key)].set_index(["post_format", "post_scaling"])
        looks = {(e.post_format, e.post_scaling): e for e in one.run.evaluations}
        assert set(looks) == set(rows.index)
        loss = "loss" if np.isnan(rows["gap"]).any() else "gap"  # of text no entropy is known
        assert getattr(looks["", ""], loss) == pytest.approx(rows.loc[("", ""), loss], rel=0.02), str(one.job)
        large = rows[rows["delta"] > 0.03]
        if len(large):
            off = np.abs(np.log([looks[key].delta for key in large.index] / large["delta"].to_numpy()))
            assert np.median(off) < 0.2, str(one.job)
            assert off.max() < np.log(2), str(one.job)
