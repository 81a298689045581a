"""``precsim design``: the package's own proposal, in words and as JSON, and refusals that say what to do."""

from __future__ import annotations

import json

import numpy as np
import pytest

from precsim import laws
from precsim.cli import main
from precsim.laws import published
from precsim.planning import Choice
from precsim.planning.design import candidates, propose

WORDS = "design --law kumar-2024 --sizes 3e7,6e7,2.2e8 --tokens 1.5e9,6e9,2.6e10 --bits 4,5,6,8 --noise 0.005".split()
SINGLE = ["--choice", "4,full,full", "--choice", "full,5,full", "--choice", "full,full,3", "--choice", "6,full,full"]
SINGLE += ["--choice", "full,8,full", "--choice", "full,full,4"]


def test_the_command_prints_what_propose_gives(capsys):
    words = [*WORDS, *SINGLE, "--budget", "1e20", "--max-runs", "40", "--json"]
    assert main(words) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["runs"] <= 40
    assert record["cost_flop"] <= 1e20
    widths = [Choice(), *(Choice.tied(p) for p in (4, 5, 6, 8)), Choice(4), Choice(activations=5), Choice(kv=3)]
    widths += [Choice(6), Choice(activations=8), Choice(kv=4)]
    law = laws.Composite(published.KUMAR_2024.parts[:4])
    found = propose(
        law, candidates([3e7, 6e7, 2.2e8], [1.5e9, 6e9, 2.6e10], widths), budget=1e20, noise=0.005, max_runs=40
    )
    assert record["half_widths"] == pytest.approx(found.half_widths)
    assert sum(cell["runs"] for cell in record["cells"]) == found.runs


def test_a_person_reads_cells_and_intervals(capsys):
    known = [word for name in ("E", "A", "B", "alpha", "beta") for word in ("--known", name)]
    assert main([*WORDS, *SINGLE, "--budget", "1e20", "--aim", "best-bits", *known]) == 0
    text = capsys.readouterr().out
    assert "95% intervals to expect" in text
    assert "P* +- " in text
    assert "W16A16KV3" in text or "W4A4KV4" in text


def test_a_fit_with_draws_is_a_prior(tmp_path, capsys):
    N, D = map(np.ravel, np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    law = laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    loss = law(N, D) * np.exp(0.003 * np.random.default_rng(1).standard_normal(25))
    np.savetxt(tmp_path / "t.csv", np.column_stack([N, D, loss]), delimiter=",", header="N,D,loss", comments="")
    saved = str(tmp_path / "fit.json")
    assert main(["fit", str(tmp_path / "t.csv"), "--law", "chinchilla", "--bootstrap", "50", "--save", saved]) == 0
    capsys.readouterr()
    words = ["design", "--law", saved, "--sizes", "1e7,1e8,1e9", "--tokens", "1e9,1e10,1e11"]
    assert main([*words, "--budget", "1e21", "--noise", "0.003"]) == 0
    assert "alpha" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*WORDS[:4], "3e7,x", *WORDS[5:], "--budget", "1e20"], "--sizes takes positive numbers"),
        ([*WORDS, *SINGLE, "--budget", "1e10"], "do not allow them"),
        (["design", "--law", "chinchilla", *WORDS[3:], "--budget", "1e20"], "have no value: fit the law first"),
        (["design", "--law", "ouyang-2024", *WORDS[3:], "--budget", "1e20"], "needs a law with a base"),
    ],
)
def test_what_cannot_be_designed_is_said(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err
