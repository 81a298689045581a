"""Bad input to the command, and its help."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.commands import call, store_in, table_in

from precsim.cli import COMMANDS
from precsim.cli.law_words import form


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    return table_in(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return store_in(tmp_path_factory.mktemp("sweep"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "nowhere.csv", "--law", "chinchilla"], "no table of runs at nowhere.csv"),
        (["fit", "{table}", "--law", "chinchilla", "--fix", "E"], "name=value"),
        (["fit", "{table}", "--law", "chinchilla", "--fix", "gamma=1"], "no parameter .'gamma'"),
        (["fit", "{table}", "--law", "chinchilla", "--tie", "alpha=1"], "two names"),
        (["fit", "{table}", "--law", "chinchilla", "--tie", "alpha=gamma"], "cannot tie 'gamma'"),
        (["fit", "{table}", "--law", "chinchilla", "--only", "colour=red"], "--only is COLUMN=A,B"),
        (["fit", "{table}", "--law", "chinchilla", "--only", "N=5"], "no row has N = 5"),
        (["fit", "{table}", "--law", "chinchilla", "--only", "N=five"], "column N holds numbers"),
        (["fit", "{table}", "--law", "chinchilla", "--excess"], "no column gap"),
        (["fit", "{table}", "--law", "chinchilla", "--bootstrap", "1"], "n must be at least 2"),
        (["fit", "{table}", "--law", "chinchilla", "--misfit"], "give it --bootstrap N"),
        (["fit", "{table}", "--law", "chinchilla", "--bootstrap", "9", "--by", "seed"], "no column 'seed'"),
        (["fit", "{table}", "--law", "chinchilla", "--level", "95"], "between 0 and 1, got 95"),
        (["fit", "{table}", "--law", "chinchilla", "--delta", "-1"], "delta must be positive"),
        (["fit", "{table}", "--law", "chinchilla+saturating:kv"], "no row has quantized kv"),
        (["fit", "{table}", "--law", "saturating:weights"], "predict no loss"),
        (["fit", "{table}", "--law", "chinchilla", "--html", "/nowhere/at/all/x.html"], "no folder /nowhere/at/all"),
        (["fit", "{table}", "--law", "kumar", "--seed", "-1", "--bootstrap", "9"], "--seed must be at least 0"),
        (["compare", "{table}", "--law", "chinchilla", "--split", "colour"], "--split is compute, size"),
        (["compare", "{table}", "--law", "chinchilla", "--split", "size", "--share", "2"], "--share must be"),
        (["compare", "{table}", "--law", "chinchilla", "--split", "group:colour"], "no column 'colour'"),
        (["compare", "{table}", "--law", "chinchilla", "--law", "kumar", "--split", "size"], "like with like"),
        (["plan"], "exactly one of compute, hours and dollars; got none"),
        (["plan", "--compute", "1e20", "--hours", "3"], "exactly one"),
        (["plan", "--compute", "nan"], "compute must be positive"),
        (["plan", "--compute", "1"], "no choice can be planned"),
        (["plan", "--hours", "3"], "hours needs hardware"),
        (["plan", "--compute", "1e20", "--hardware", "abacus"], "no hardware 'abacus'; there are a100"),
        (["plan", "--compute", "1e20", "--bits", "4,x"], "'x' in '4,x'"),
        (["plan", "--compute", "1e20", "--choice", "4"], "--choice has widths"),
        (["plan", "--compute", "1e20", "--law", "chinchilla"], "have no value: fit the law first"),
        (["plan", "--compute", "1e20", "--law", "ouyang-2024"], "needs a law with a base"),
        (["plan", "--compute", "1e20", "--law", "kumar-2024", "--fix", "x=1"], "no parameter .'x'"),
        (["plan", "--compute", "1e20", "--law", "{table}.json"], "no file"),
        (["runs", "ls", "nowhere.db"], "no store of runs at nowhere.db"),
        (["runs", "ls", "{table}"], "not a store of runs"),
        (["runs", "show", "{store}", "zzz"], "'zzz' names no run"),
        (["runs", "show", "{store}", ""], "names 4 runs"),
        (["runs", "export", "{store}", "t.xlsx"], "ends in .parquet or .csv"),
        (["runs", "merge", "new.db", "nowhere.db"], "no store of runs at nowhere.db"),
        (["sweep", "nowhere.toml", "--dry-run"], "no grid file nowhere.toml"),
        (["sweep", "{grid}"], "--store says where"),
        (["sweep", "{grid}", "--dry-run", "--where", "moon"], "--where is local"),
        (["sweep", "{grid}", "--dry-run", "--where", "cores:0"], "count must be a positive integer"),
        (["sweep", "{grid}", "--dry-run", "--members", "0"], "members must be a positive integer"),
        (["sweep", "{grid}", "--store", "/nowhere/at/all/r.db"], "no folder /nowhere/at/all"),
        (["ptq", "{store}", "--post", "INT99", "--store", "o.db", "--dry-run"], "--post.*must be a format"),
        (["ptq", "{store}", "--post", "INT4", "--store", "o.db", "--job", "zz", "--dry-run"], "names no run"),
        (["data", "fetch", "nothing"], "no public table 'nothing'; there are chinchilla-epoch"),
        (["data", "fetch", "kyo-llm", "--out", "x.xlsx"], "ends in .parquet or .csv"),
        (["data", "fetch", "kyo-llm", "--from", "/nowhere"], "has neither df.csv nor data.csv"),
        (["fit"], "required: RUNS, --law"),
        (["frobnicate"], "invalid choice"),
        ([], "required: COMMAND"),
    ],
)
def test_bad_input_is_refused_in_words(capsys, tmp_path, monkeypatch, table, store, words, message):
    monkeypatch.chdir(tmp_path)
    places = {"table": table, "store": store, "grid": store.parent / "grid.toml"}
    status, out, err = call(capsys, *(word.format(**places) for word in words))
    assert (status, out) == (2, "")
    assert err.startswith("precsim")
    assert "Traceback" not in err
    assert re.search(message, err), err
    assert list(tmp_path.iterdir()) == []


def test_a_fit_that_cannot_be_used_exits_with_1(capsys, tmp_path):
    N = np.geomspace(1e7, 1e9, 12)
    pd.DataFrame({"N": N, "D": 20 * N[::-1], "loss": 400 * N**-0.3}).to_csv(tmp_path / "t.csv", index=False)
    status, out, err = call(capsys, "fit", tmp_path / "t.csv", "--law", "chinchilla")
    assert (status, out) == (1, "")
    assert "--suspicious" in err
    assert call(capsys, "fit", tmp_path / "t.csv", "--law", "chinchilla", "--suspicious")[0] == 0


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "[1]", '[{"kind": "Nobody"}]', '{"law": 3}', '[{"kind": "Tied", "x": 1}]', "{"]
)
def test_a_file_that_holds_no_law_is_refused(tmp_path, content):
    (tmp_path / "law.json").write_text(content)
    with pytest.raises(ValueError, match=r"law.json holds no law"):
        form(str(tmp_path / "law.json"))


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--help"], {"numpy", "jax", "altair", "pandas", "numba", "sympy", "scipy"}),
        (["--version"], {"numpy", "jax", "altair", "pandas", "numba", "sympy", "scipy"}),
        (["data", "ls", "--names"], {"jax", "altair", "pandas", "numba", "sympy", "scipy"}),
        (["plan", "--compute", "1e20"], {"jax", "altair", "numba", "sympy"}),
        (["fit", "--help"], {"jax", "altair", "numba", "sympy"}),
    ],
    ids=["help", "version", "data ls", "plan", "fit --help"],
)
def test_a_command_loads_what_it_needs_and_no_more(words, absent):
    code = f"import sys; from precsim.cli import main; main({words}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not absent & set(done.stdout.split())


def test_every_command_is_in_the_module_of_its_name():
    for name in COMMANDS:
        assert importlib.util.find_spec(f"precsim.cli.{name}") is not None, name


def test_help_names_every_command_and_shows_a_grid(capsys):
    status, out, _ = call(capsys, "--help")
    assert status == 0
    assert all(re.search(rf"(?m)^    {name}\b", out) for name in COMMANDS)
    status, out, _ = call(capsys, "sweep", "--help")
    assert status == 0
    assert "every key is a field of a Job" in out
    assert "chinchilla" in call(capsys, "plan", "--laws")[1]
