"""Every argument of every command with values that nobody means: a sentence and a status, never a traceback."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import signal
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from support.commands import call, store_in, table_in
from support.disks import fill, small_disk

from precsim.cli import COMMANDS, parser
from precsim.runs import RunStore

_SECONDS = 20  # a call that takes longer has begun what it should have refused
_ODD = ("nan", "inf", "-inf", "-1", "0", "", "--", "1e400", "9" * 40, "x", "é\u2028\U0001f600", "a=b", "a=a", "=", ",")
_FILES = ("{folder}", "{folder}/empty", "{folder}/noise.parquet", "{folder}/noise.csv", "{folder}/noise.db",
          "{folder}/noise.json",
          "{folder}/nested.parquet", "{folder}/nested-bits.parquet", "{folder}/nested-job.parquet",
          "{folder}/deep.json", "{folder}/wide.csv.gz",
          "/dev/null", "{folder}/none/x.json")  # fmt: skip

_PLACES = ("--html", "--save", "--cache", "--store", "--out")

#: A call of each command that works and is quick.
USUAL: dict[str, tuple[str, ...]] = {
    "sweep": ("{grid}", "--store", "{out}.db", "--dry-run"),
    "ptq": ("{store}", "--post", "INT4", "--store", "{out}.db", "--dry-run"),
    "runs ls": ("{store}",),
    "runs show": ("{store}", "{key}"),
    "runs check": ("{store}",),
    "runs export": ("{store}", "{out}.csv"),
    "runs merge": ("{out}.db", "{store}"),
    "fit": ("{table}", "--law", "chinchilla", "--starts", "20"),
    "gaps": ("{table}",),
    "compare": ("{table}", "--law", "chinchilla", "--law", "tied", "--split", "size", "--share", "0.3"),
    "design": ("--law", "kumar-2024", "--sizes", "3e7,6e7", "--tokens", "1e9,2e9", "--budget", "1e20",
               "--noise", "0.01"),
    "plan": ("--compute", "1e20"),
    "weights": ("{folder}/noise.safetensors",),
    "data ls": (),
    "data fetch": ("kyo-llm", "--from", "{folder}", "--out", "{out}.csv"),
}  # fmt: skip


def options_of(command: str) -> list[argparse.Action]:
    """The arguments that a command takes, but for those that take no value."""
    words = command.split()
    found = parser(words)
    for word in words:
        choice = next(a for a in found._actions if isinstance(a, argparse._SubParsersAction))
        found = choice.choices[word]
    return [a for a in found._actions if a.nargs != 0]


def calls(command: str) -> Iterator[list[str]]:
    """The usual call with one argument at a time replaced, or added."""
    usual = list(USUAL[command])
    first = next((n for n, word in enumerate(usual) if word.startswith("--")), len(usual))  # options stand last
    for value in (*_ODD, *_FILES):
        for n in range(first):
            yield [*command.split(), *usual[:n], value, *usual[n + 1 :]]
        for action in options_of(command):
            for name in action.option_strings[:1]:
                if name == "--host" or (name in _PLACES and value in _ODD[1:-2]):
                    continue  # asks the network; any word is the name of a file
                rest = list(usual)
                if name in rest and not isinstance(action, argparse._AppendAction):
                    n = rest.index(name)
                    del rest[n : n + 2]
                yield [*command.split(), *rest, f"{name}={value}"]


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("odd")
    noise = np.random.default_rng(20).bytes(3000)
    (folder / "empty").write_bytes(b"")
    for ending in ("parquet", "csv", "db", "json", "safetensors"):
        (folder / f"noise.{ending}").write_bytes(noise)
    pd.DataFrame({"N": [[1, 2], [3]], "D": [{"a": 1}, {"a": 2}], "loss": [1.0, 2.0]}).to_parquet(
        folder / "nested.parquet"
    )
    N = np.geomspace(1e7, 1e9, 9)
    rows = {"N": N, "D": 20 * N[::-1], "loss": 2 + 400 * N**-0.3}
    pd.DataFrame({**rows, "job": [[1]] * 9, "weights": [{"a": 4}] * 9}).to_parquet(folder / "nested-bits.parquet")
    pd.DataFrame({**rows, "job": [[1]] * 9, "more": [[1, 2]] * 9}).to_parquet(folder / "nested-job.parquet")
    (folder / "deep.json").write_text("[" * 100_000)
    with gzip.open(folder / "wide.csv.gz", "wt") as file:
        file.write(",".join(f"c{n}" for n in range(3000)) + "\n" + ",".join("1" * 3000) + "\n")
    store = store_in(tmp_path_factory.mktemp("sweep"))
    with RunStore(store) as kept:
        key = min(kept.keys())
    table = table_in(tmp_path_factory.mktemp("table"))
    return {"folder": folder, "store": store, "grid": store.parent / "grid.toml", "key": key, "table": table}


@contextlib.contextmanager
def limited(seconds: int):
    """No longer than so many seconds."""

    def late(*_: object) -> None:
        raise TimeoutError(f"{seconds} s have passed")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_every_command_is_walked():
    assert {name.split()[0] for name in USUAL} | {"course"} >= set(COMMANDS)  # a class: tests/course


@pytest.mark.parametrize("command", USUAL)
def test_odd_values_get_a_sentence(command, capsys, monkeypatch, tmp_path, places):
    monkeypatch.chdir(tmp_path)
    wrong = []
    for n, words in enumerate(calls(command)):
        given = [word.format(**places, out=tmp_path / f"out{n}") if "{" in word else word for word in words]
        try:
            with limited(_SECONDS):
                status, out, err = call(capsys, *given)
        except BaseException as failure:
            wrong.append(f"{type(failure).__name__}: {failure}: {given}")
            continue
        if status not in (0, 1, 2) or "Traceback" in err or (status and not err.strip() and not out.strip()):
            wrong.append(f"status {status}: {given}: {err[:200]}")
    assert not wrong, "\n".join(str(w)[:400] for w in wrong)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "--compute=--"], "--compute needs a value"),
        (["plan", "--compute", "1e20", "--tolerance=nan"], "tolerance must be 0 or more"),
        (["plan", "--compute", "1e20", "--kv-bytes", "1e9"], "kv_bytes take their part of memory"),
        (["plan", "--compute", "1e20", "--dollars-per-hour", "3"], "dollars_per_hour is the price of dollars"),
        (["plan", "--compute", "1e20", "--law", "bent:" * 5000 + "second-order"], "bent needs a degradation"),
        (["plan", "--compute", "1e20", "--law", "drifting:" * 5000 + "plain:kv"], "drifting needs a factor"),
        (["fit", "{table}", "--law", "chinchilla", "--tie", "alpha=alpha"], "cannot tie 'alpha' to itself"),
        (["fit", "{table}", "--law", "chinchilla", "--tie", "alpha=beta", "--tie", "beta=alpha"], "cannot tie"),
        (["fit", "{table}", "--law", "chinchilla", "--by", "job"], "--by is about resamples"),
        (["fit", "{table}", "--law", "chinchilla", "--save", "{folder}/empty"], "is there already"),
        (["fit", "{table}", "--law", "chinchilla", "--save", "a.json", "--html", "a.json"], "cannot both be"),
        (["compare", "{table}", "--law", "chinchilla", "--split", "size", "--html", "{folder}/empty"], "--force"),
        (["compare", "{table}", "--law", "chinchilla", "--split", "size", "--delta=-1"], "delta must be positive"),
        (["plan", "--compute", "1e20", "--html", "{folder}/empty"], "is there already"),
        (["fit", "{folder}/nested.parquet", "--law", "chinchilla"], "column N must hold numbers"),
        (["sweep", "{grid}", "--dry-run", "--cache", "{folder}/empty"], "--cache"),
    ],
)
def test_what_was_taken_in_silence_or_ended_in_a_traceback(capsys, monkeypatch, tmp_path, places, words, message):
    monkeypatch.chdir(tmp_path)
    before = (places["folder"] / "empty").read_bytes()
    status, out, err = call(capsys, *(word.format(**places) for word in words))
    assert (status, out) == (2, "")
    assert message in err
    assert len(err) < 2000
    assert (places["folder"] / "empty").read_bytes() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("plan", "--compute", "1e20", "--html"), ("fit", "{table}", "--law", "chinchilla",
                                    "--starts", "20", "--save")])  # fmt: skip
def test_a_file_is_replaced_when_that_is_said_and_stays_whole_when_the_disk_is_full(capsys, tmp_path, places, words):
    given = [word.format(**places) for word in words]
    with small_disk(tmp_path / "disk", kilobytes=256) as disk:
        target = disk / "kept.json"
        target.write_text("what was there before")
        fill(disk)
        status, _, err = call(capsys, *given, target, "--force")
        assert (status, "No space left" in err) == (2, True)
        assert target.read_text() == "what was there before"
        assert sorted(path.name for path in disk.iterdir()) == ["filler", "kept.json"]
    target = tmp_path / "kept.json"
    target.write_text("what was there before")
    assert call(capsys, *given, target, "--force")[0] == 0
    assert "what was there" not in target.read_text()
