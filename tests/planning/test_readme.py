"""The researcher's lines of the README, run as they stand there on a fetched public table and on our own."""

from __future__ import annotations

import re

import pytest
from support.places import PUBLIC, ROOT

import precsim as ps
from precsim.data import load_folder
from precsim.planning import Plan

README = (ROOT / "README.md").read_text(encoding="utf-8")


def lines(load: str) -> str:
    """The snippet with another first line of data and fewer resamples; everything else as printed."""
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = re.sub(r"(?m)^  ", "", block)
    assert code.count('ps.load_runs("runs.csv")') == 1
    assert code.count("n=1000") == 1
    return code.replace('ps.load_runs("runs.csv")', load).replace("n=1000", "n=60")


def ours() -> str:
    """What the README says to take for our own table."""
    (found,) = re.findall(r"`runs = (ps\.slices.*)`\.", README)
    return found


@pytest.mark.parametrize("which", ["public", "ours"])
def test_the_researchers_lines_of_the_readme_run(which, tmp_path, capsys):
    if which == "public":
        if not (PUBLIC / "quest_qat" / "data.csv").exists():
            pytest.skip("issue 6: the public table quest-qat is not at ../shared/data")
        load_folder("quest-qat", PUBLIC / "quest_qat").to_csv(tmp_path / "runs.csv", index=False)
        load = f"ps.load_runs({str(tmp_path / 'runs.csv')!r})"
    else:
        load = ours()
    names: dict = {}
    exec(compile(lines(load), "README.md", "exec"), names)
    found, plan = names["found"], names["plan"]
    assert f"status    {found.status.name}" in capsys.readouterr().out
    assert isinstance(plan, Plan)
    assert plan.held == ("activations", "kv")
    assert plan.choice.bits["activations"] == 16
    low, high = plan.best.loss_interval
    assert low <= plan.loss <= high
    assert plan.runs == ps.laws.Region.of(names["runs"])
