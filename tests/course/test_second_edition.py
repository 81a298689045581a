"""Exercises on the open table's second edition: stored runs are the table's, other right answers pass."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.places import ROOT

import precsim as ps
from precsim.course import check, ps5
from precsim.course.grading.keys import group_inputs
from precsim.course.notebooks import Role, read
from precsim.course.values import equal
from precsim.evidence import architecture, predictions
from precsim.evidence.experiments import second_edition

SOURCE = read(ROOT / "exercises" / "src" / "ps5.py")
COURSE = Path(ps5.__file__).parent


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return ps.load_runs("precsim-2027")


def test_the_stored_networks_are_the_tables(table):
    stored = pd.read_csv(COURSE / "ps5_networks.csv")
    assert len(stored) == 11 * 2 * 4 * 3
    for name, keys in second_edition.compared().items():
        here = table[table["job"].isin(keys)]
        ends = here[here["post_method"].eq("none")]
        rounded = here[here["post_format"].eq("INT4") & here["post_scaling"].eq("channel")]
        both = ends.merge(rounded[["job", "delta"]], on="job", suffixes=("", "_4"))
        both = both.drop(columns="language").rename(columns={"language_seed": "language"})
        mine = stored[stored["network"].eq(name)].merge(both, on=["N", "D", "language"], suffixes=("", "_table"))
        assert len(mine) == 24
        np.testing.assert_allclose(mine["gap"], mine["gap_table"], rtol=1e-5)
        np.testing.assert_allclose(mine["delta"], mine["delta_4"], rtol=1e-5)


def test_the_stored_predictions_are_the_file_and_its_scores(table):
    scored = predictions.score(table)
    assert len(pd.read_csv(COURSE / "ps5_foretold.csv")) == len(scored) == 80
    for (what, law), some in scored.groupby(["what", "law"]):
        stored = ps5.foretold(what, law)
        assert [one[0].ln for one in stored] == pytest.approx(np.log(some["predicted"]).tolist())
        assert [len(one[1]) for one in stored] == some["runs"].tolist()
        mine = [ps5.LOG_SCORE.truth(*one) for one in stored]
        assert mine == pytest.approx(some["log_score"].tolist(), rel=2e-3, abs=2e-3)  # spread is stored to four digits


def test_growth_is_the_exponent_of_the_chapter(table):
    found = architecture.exponents(table, second_edition.compared()).set_index(["name", "N"])
    for (name, N), row in found.iterrows():
        middle, half = ps5.GROWTH.truth(ps5.networks(N, of=name))
        assert [middle, middle - half, middle + half] == pytest.approx(
            [row["gamma_D"], row["low"], row["high"]], abs=2e-4
        )


def frame(rows) -> pd.DataFrame:
    return pd.DataFrame(rows)


def growth_in_pandas(rows):
    logs = frame(rows).assign(x=lambda r: np.log(r["D"]), y=lambda r: np.log(r["delta"]))
    slopes = logs.groupby("language")[["x", "y"]].apply(lambda g: g.cov().loc["x", "y"] / g["x"].var())
    return slopes.mean(), ps5.STUDENT[len(slopes)] * slopes.sem()


def growth_by_matrices(rows):
    slopes = np.array([
        np.linalg.lstsq(
            np.array([[1.0, math.log(r.D)] for r in rows if r.language == one]),
            np.array([math.log(r.delta) for r in rows if r.language == one]),
        )[0][1]
        for one in sorted({r.language for r in rows})
    ])  # fmt: skip
    half = ps5.STUDENT[slopes.size] * np.sqrt(slopes.var(ddof=1) / slopes.size)
    return np.array([slopes.mean(), half])


def growth_by_sums(rows):
    of = {}
    for row in rows:
        of.setdefault(row.language, []).append((math.log10(row.D), math.log10(row.delta)))
    slopes = []
    for pairs in of.values():
        x, y = zip(*pairs, strict=True)
        mx, my = sum(x) / len(x), sum(y) / len(y)
        slopes.append(sum((a - mx) * (b - my) for a, b in pairs) / sum((a - mx) ** 2 for a in x))
    m = sum(slopes) / len(slopes)
    s2 = sum((b - m) ** 2 for b in slopes) / (len(slopes) - 1)
    return [m, ps5.STUDENT[len(slopes)] * (s2 / len(slopes)) ** 0.5]


def served_in_pandas(rows):
    wide = frame(rows).assign(loss=lambda r: r["gap"] + r["delta"]).pivot(
        index="network", columns="language", values="loss"
    )  # fmt: skip
    return wide.dropna(axis=1).mean(axis=1).idxmin()


def served_by_loops(rows):
    loss = {(r.network, r.language): r.gap + r.delta for r in rows}
    names, languages = {n for n, _ in loss}, {one for _, one in loss}
    kept = [one for one in languages if all((n, one) in loss for n in names)]
    return sorted(names, key=lambda n: sum(loss[n, one] for one in kept))[0]


def served_by_differences(rows):
    """Against one of them, language by language: differences are as good as means over common languages."""
    by = {}
    for r in rows:
        by.setdefault(r.network, {})[r.language] = r.gap + r.delta
    common = sorted(set.intersection(*map(set, by.values())))
    first = by[rows[0].network]
    return np.str_(min(by, key=lambda n: np.mean([by[n][one] - first[one] for one in common]))).item()


def score_in_scipy(said, measured, spread):
    from scipy import stats

    sd = np.hypot(said.sd, spread / np.sqrt(len(measured)))
    return stats.norm.logpdf(np.log(measured).mean(), loc=said.ln, scale=sd)


def score_by_density(said, measured, spread):
    variance = said[1] ** 2 + spread**2 / len(measured)
    off = math.log(math.prod(measured)) / len(measured) - said[0]
    return math.log(math.exp(-off * off / (2 * variance)) / math.sqrt(2 * math.pi * variance))


def score_by_geometric_mean(said, measured, spread):
    seen = math.prod(measured) ** (1 / len(measured))
    sd = math.hypot(said.sd, spread * len(measured) ** -0.5)
    return -0.5 * ((math.log(seen) - said.ln) / sd) ** 2 - math.log(sd) - 0.5 * math.log(math.tau)


RIGHT = {
    "growth": (growth_in_pandas, growth_by_matrices, growth_by_sums),
    "served_network": (served_in_pandas, served_by_loops, served_by_differences),
    "log_score": (score_in_scipy, score_by_density, score_by_geometric_mean),
}


@pytest.mark.parametrize(("name", "answer"), [(n, a) for n, some in RIGHT.items() for a in some])
def test_a_right_answer_of_another_style_passes_the_check_and_every_group(name, answer, capsys):
    asked = next(one for one in ps5.EXERCISES if one.name == name)
    check(asked, answer)
    assert "right" in capsys.readouterr().out
    groups = [cell for cell in SOURCE if cell.role is Role.GROUP and cell.exercise == name]
    assert groups
    for args in (args for cell in groups for args in group_inputs(cell, SOURCE)):
        assert equal(np.asarray(answer(*args)).tolist(), asked.truth(*args), asked.tolerance)


def test_stored_runs_that_are_not_there_are_refused_by_name():
    with pytest.raises(ValueError, match="N = 98304 and 221184; not N = 5, any"):
        ps5.networks(5)
    with pytest.raises(ValueError, match="'gut feeling' said nothing of 'gap'"):
        ps5.foretold("gap", "gut feeling")
