"""Stored results of the chapters: whole, declared, refused when changed, and equal to what is trained again."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from dataclasses import replace
from importlib import resources

import numpy as np
import pandas as pd
import pytest

from precsim.evidence.experiments import chapters, lessons
from precsim.evidence.experiments.lessons import Disagreement
from precsim.models import MLP
from precsim.models.recipes import kumar
from precsim.numerics.formats import FP32, INT4
from precsim.training import Job
from precsim.training.languages import ZipfFacts
from precsim.training.ptq import Post

BASE = Job(model=MLP(4), language=ZipfFacts(vocabulary=8), tokens=50 * 64, batch_tokens=64)


def tiny() -> tuple[chapters.Cell, ...]:
    post = (Post(kumar(weights=INT4)),)
    return tuple(
        chapters.Cell(replace(BASE, seed=seed, recipe=kumar(weights=fmt), post=post), {"recipe": fmt.name})
        for seed in range(3)
        for fmt in (FP32, INT4)
    )


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """The folder of a package whose only lesson is the tiny one, trained just now."""
    monkeypatch.setattr(lessons, "LESSONS", {"tiny": tiny})
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    monkeypatch.delenv("PRECSIM_LIVE", raising=False)
    lessons.make(["tiny"], tmp_path / "lessons", say=lambda line: None)
    return tmp_path / "lessons"


def rewrite(folder, change) -> None:
    """Change the stored table, and its hash in the record, so that only training again can tell."""
    path = folder / "tiny.csv.gz"
    table = pd.read_csv(path, keep_default_na=False)
    change(table)
    table.to_csv(path, index=False)
    record = json.loads((folder / "tiny.json").read_text())
    record["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "tiny.json").write_text(json.dumps(record))


@pytest.mark.parametrize("name", lessons.LESSONS)
def test_what_ships_is_what_is_declared_today(name):
    stored, record = lessons.load(name)  # refuses another hash and other jobs
    jobs = {cell.job.key: cell.job for cell in lessons.LESSONS[name]()}
    assert set(stored["job"]) == set(jobs)
    assert (record["models"], record["evaluations"]) == (len(jobs), len(stored))
    assert record["function"] == f"precsim.evidence.experiments.chapters.{name}"
    assert record["seeds"] == sorted({job.seed for job in jobs.values()})
    counts = stored.groupby("job").size().to_dict()
    assert counts == {key: (1 + len(job.post)) * len(job.look_steps) for key, job in jobs.items()}
    assert stored.loc[~stored["diverged"], "gap"].notna().all()
    assert 1 <= len(lessons.sample(name, jobs.values())) <= max(1, math.ceil(len(jobs) / lessons.SHARE))


def test_every_shipped_file_belongs_to_a_lesson():
    folder = resources.files("precsim.data") / "lessons"
    there = {file.name for file in folder.iterdir()}
    assert there == {f"{name}{ending}" for name in lessons.LESSONS for ending in (".csv.gz", ".json")}


def test_a_page_gets_the_stored_table_and_hears_what_was_trained_again(shipped):
    found = lessons.result("tiny")
    again = chapters.run(tiny(), members=lessons.MEMBERS)
    assert found.table.drop(columns="seconds").equals(again.drop(columns="seconds"))
    assert (found.models, found.again, found.difference) == (6, 1, 0.0)
    assert str(found).startswith("6 networks, stored with the package")
    assert "trained again here: 1" in str(found)


@pytest.mark.parametrize("column", ["gap", "delta"])
def test_a_value_that_training_does_not_give_is_found(shipped, column):
    """Every row is altered, since only some are trained again."""

    def change(table) -> None:
        table[column] += 1.5 * lessons.TOLERANCE * table["gap"]

    rewrite(shipped, change)
    with pytest.raises(Disagreement, match=r"lesson tiny: MLP.*seed \d.* gap .* of the gap apart, allowed are 0.25"):
        lessons.result("tiny")


def test_all_is_trained_again_when_asked_and_one_altered_row_is_found(shipped, monkeypatch):
    monkeypatch.setenv("PRECSIM_LIVE", "1")
    assert lessons.result("tiny").again == 6

    def change(table) -> None:
        table.loc[table.index[-1], "gap"] *= 1.5

    rewrite(shipped, change)
    with pytest.raises(Disagreement, match="seed 2"):
        lessons.result("tiny")
    with pytest.raises(Disagreement, match="seed 2"):
        lessons.result("tiny", live=True)


def test_a_changed_file_an_unknown_lesson_and_other_jobs_are_refused(shipped, monkeypatch):
    with pytest.raises(ValueError, match="there is no lesson 'tini'; the lessons are tiny"):
        lessons.load("tini")
    with pytest.raises(ValueError, match="there is no lesson 'other'"):
        lessons.make(["tiny", "other"], shipped)
    monkeypatch.setattr(lessons, "LESSONS", {"tiny": lambda: tiny()[1:]})
    with pytest.raises(
        ValueError, match=r"tiny\.csv\.gz has other jobs than the experiment tiny of today: make lessons"
    ):
        lessons.load("tiny")
    monkeypatch.setattr(lessons, "LESSONS", {"tiny": tiny})
    text = gzip.decompress((shipped / "tiny.csv.gz").read_bytes())
    (shipped / "tiny.csv.gz").write_bytes(gzip.compress(text.replace(b"0.", b"1.", 1)))
    with pytest.raises(ValueError, match=r"tiny\.csv\.gz is not the file that was shipped"):
        lessons.load("tiny")


def test_networks_that_diverged_must_do_so_again():
    row = {"job": "a", "step": 1, "post_method": "none", "post_format": "", "model": "MLP", "seed": 0, "delta": 0.0}
    lost, found = (pd.DataFrame([{**row, "gap": gap}]) for gap in (math.nan, 0.5))
    assert lessons.compare("x", lost, lost) == 0.0
    for pair in ((lost, found), (found, lost)):
        with pytest.raises(Disagreement):
            lessons.compare("x", *pair)
    with pytest.raises(Disagreement, match=r"lesson x: 2 evaluations here, others or 1"):
        lessons.compare("x", found, pd.concat([found, found.assign(step=2)]))
    assert lessons.compare("x", found, found.assign(gap=0.501)) == pytest.approx(0.002)


def test_many_small_differences_are_no_other_order_of_summation():
    row = {"step": 1, "post_method": "none", "post_format": "", "model": "MLP", "seed": 0, "delta": 0.0, "gap": 0.5}
    stored = pd.DataFrame([{**row, "job": job} for job in "abc"])
    assert lessons.compare("x", stored, stored.assign(gap=[0.5, 0.53, 0.55])) == pytest.approx(0.1)
    with pytest.raises(Disagreement, match=r"lesson x: half of its evaluations are 0\.1 of the gap"):
        lessons.compare("x", stored, stored.assign(gap=[0.5, 0.55, 0.6]))


def test_the_choice_of_what_is_trained_again_follows_from_the_name():
    jobs = [cell.job for cell in chapters.seeds()]
    assert lessons.sample("seeds", jobs) == lessons.sample("seeds", jobs)
    assert len({lessons.sample(str(n), jobs) for n in range(8)}) > 1
    assert np.all([job in jobs for job in lessons.sample("seeds", jobs)])
