"""Public tables: what is known of them, how they are converted and checked, and that nothing is downloaded unasked."""

from __future__ import annotations

import http.server
import io
import json
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.places import PUBLIC

import precsim as ps
from precsim.cli import main
from precsim.data import TABLES, DigestError, digest, fetch, load_folder
from precsim.data.public import known
from precsim.runs import check

_FOLDERS = {
    "quartet-mxfp4": "quartet1_mxfp4",
    "step-law": "steplaw_lr_bsz",
    "quartet2-nvfp4": "quartet2_nvfp4",
    "paretoq": "paretoq",
}


def folder_of(name: str) -> Path:
    """Where the table lies on a developer's machine; the project ships none of them."""
    place = PUBLIC / _FOLDERS.get(name, name.replace("-", "_"))
    if not (place / "data.csv").exists():
        pytest.skip(f"issue 6: the public table {name} is not at ../shared/data")
    return place


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_an_entry_says_where_the_table_is_and_what_may_be_done_with_it(table):
    assert len(table.commit) == 40
    assert int(table.commit, 16)
    assert len(table.sha256) == 64
    assert table.repository.count("/") == 1
    assert table.licence
    assert {"N", "D", "loss"} <= set(table.columns)
    assert all(url.startswith("https://raw.githubusercontent.com/") for url in table.urls())
    assert all(table.commit in url for url in table.urls())


@pytest.mark.parametrize("name", TABLES)
def test_a_table_in_a_folder_is_read_checked_and_is_a_table_of_runs(name):
    table = load_folder(name, folder_of(name))
    assert list(table.columns) == list(TABLES[name].columns)
    assert len(table) == TABLES[name].rows
    check(table)


def test_epochs_points_give_the_reference_optimum():
    """Objective and parameters of the 240 points that Besiroglu et al. fit, found by an independent search."""
    table = load_folder("chinchilla-epoch", folder_of("chinchilla-epoch"))
    assert table["holdout"].sum() == 5
    found = ps.fit(ps.laws.Chinchilla(), table, delta=1e-3)
    assert len(found.residuals) == 240
    assert found.objective == pytest.approx(1.0182740178006e-3, rel=1e-9)
    assert found.law.alpha == pytest.approx(0.3473105, rel=1e-6)


def test_the_schemes_of_quest_are_those_of_its_published_law():
    table = load_folder("quest-qat", folder_of("quest-qat"))
    law = ps.laws.published.QUEST_2025
    known_schemes = {name.removeprefix("f_") for name in law.parameters if name.startswith("f_")}
    assert known_schemes <= set(table["scheme"])
    low = table[table["scheme"] == "FP4"]
    assert set(low["weights"]) == {4.0}
    rows = table[table["scheme"].isin([*known_schemes, "BF16"])]
    predicted = law(rows["N"].to_numpy(), rows["D"].to_numpy(), scheme=rows["scheme"].to_numpy())
    assert np.max(np.abs(predicted / rows["loss"].to_numpy() - 1)) < 0.02  # constants printed to four digits


def test_the_runs_of_quartet_ii_are_told_apart_by_their_schemes():
    table = load_folder("quartet2-nvfp4", folder_of("quartet2-nvfp4"))
    assert table["scheme"].nunique() == 34
    assert table.groupby("family").size()["baseline"] == 21
    full = table[table["family"].isin(["baseline", "backward_main", "bnrq", "orig_albert_tseng"])]
    assert np.isinf(full["weights"]).all()
    assert set(table[table["family"] == "forward_main"]["weights"]) == {4.0}


def test_the_cells_of_paretoq_lose_more_with_fewer_bits():
    table = load_folder("paretoq", folder_of("paretoq")).pivot(index="N", columns="weights", values="loss")
    assert table.shape == (5, 6)
    assert (np.diff(table[[1.0, 1.58, 2.0, 3.0, 4.0]].to_numpy(), axis=1) < 0).all()


# -- conversion from the files of the sources, made here from the converted tables ------------------------------------


def as_source(name: str) -> list[bytes]:
    """The table as the source's files would hold it."""
    raw = pd.read_csv(folder_of(name) / "data.csv")
    if name == "chinchilla-epoch":
        renamed = raw.rename(columns={"N": "Model Size", "C": "Training FLOP"})
        return [renamed[["Model Size", "Training FLOP", "loss"]].to_csv().encode()]
    if name == "gemstones":
        renamed = raw.rename(columns={"N": "params_active_precise", "D": "tokens", "loss": "final_loss"})
        subsets = [path.partition("fitting_")[2].removesuffix(".jsonl") for path in TABLES[name].files]
        frames = [renamed[renamed["subset"] == s].drop(columns="subset") for s in subsets]
        return [f.to_json(orient="records", lines=True, double_precision=15).encode() for f in frames]
    if name == "kyo-llm":
        return [(folder_of(name) / "data.csv").read_bytes()]
    if name == "quest-qat":
        renamed = raw.rename(columns={"N": "non_embedding_parameters", "D": "tokens"})
        runs = json.loads(renamed.to_json(orient="records", double_precision=15))
        args = ("lr", "iterations", "seed")
        return [json.dumps([{**r, "args": {k: r[k] for k in args}} for r in runs]).encode()]
    if name == "quartet-mxfp4":
        nested: dict = {}
        for r in raw.to_dict("records"):
            nested.setdefault(r["size"], {}).setdefault(r["forward"], {}).setdefault(r["backward"], {})[
                r["iterations"]
            ] = r["loss"]
        source = f"size_fwd_bwd_iters_loss = {nested!r}  # a comment\n".splitlines(keepends=True)
        cells = [{"cell_type": "markdown", "source": ["text"]}, {"cell_type": "code", "source": source}]
        return [json.dumps({"cells": cells}).encode()]
    if name == "quartet2-nvfp4":
        renamed = raw.rename(columns={"loss": "final_loss"})
        nested = {family: [] for family in renamed["scheme"].unique()}
        for run in json.loads(renamed.to_json(orient="records", double_precision=15)):
            nested[run.pop("scheme")].append(run)
        return [json.dumps(nested).encode()]
    if name == "paretoq":
        sizes = {125e6: "125M", 345e6: "350M", 603e6: "600M", 1005e6: "1B", 1.5e9: "1.5B"}
        lines = ["# ParetoQ", " | Method | #Params | Wiki |", " | RTN | 600M | 6.60E+05 | "]
        for r in raw.to_dict("records"):
            bits = "BF16" if r["weights"] == 16 else f"{r['weights']:g}-bit"
            model = f"MobileLLM-ParetoQ-{sizes[r['N']]}-{bits}"
            lines.append(f" | [{model}](https://example.org/{model}) | 56 | 34.5 | {r['ppl']:g} | ")
        return ["\n".join(lines).encode()]
    files = []
    for split in ("train", "test"):
        buffer = io.BytesIO()
        raw[raw["split"] == split].drop(columns="split").to_parquet(buffer)
        files.append(buffer.getvalue())
    return files


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """A server on this machine with the paths of the real one; counts what it is asked."""
    root = tmp_path_factory.mktemp("mirror")
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(root), **kwargs)

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", root, asked
    server.shutdown()
    server.server_close()
    thread.join()


def publish(name: str, root: Path, files: list[bytes]) -> None:
    table = TABLES[name]
    for path, content in zip(table.files, files, strict=True):
        place = root / table.repository / table.commit / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_fetched_converted_and_checked(name, mirror, tmp_path):
    host, root, asked = mirror
    publish(name, root, as_source(name))
    table = fetch(name, cache=tmp_path, host=host)
    assert digest(table) == TABLES[name].sha256
    before = len(asked)
    fetch(name, cache=tmp_path, host=host)
    assert len(asked) == before, "files that are in the cache are not asked for again"


def test_a_table_that_was_changed_is_refused(mirror, tmp_path):
    host, root, _ = mirror
    content = as_source("kyo-llm")[0].replace(b"3.405928", b"3.405929")
    publish("kyo-llm", root, [content])
    with pytest.raises(DigestError, match=r"differs from the known table \(234 rows of 234.*end in \.wrong"):
        fetch("kyo-llm", cache=tmp_path, host=host)
    assert [path.name for path in tmp_path.rglob("*.wrong")] == ["df.csv.wrong"]
    publish("kyo-llm", root, as_source("kyo-llm"))  # the source is asked again: it was wrong for an hour only
    assert len(fetch("kyo-llm", cache=tmp_path, host=host)) == 234


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"a,b\n1,2\n", b"\x00\xff"])
def test_another_file_is_refused_in_words(mirror, tmp_path, content):
    host, root, _ = mirror
    publish("kyo-llm", root, [content])
    with pytest.raises(DigestError, match="kyo-llm"):
        fetch("kyo-llm", cache=tmp_path, host=host)


@pytest.mark.parametrize("name", TABLES)
def test_nonsense_is_refused_for_every_reader(name, tmp_path):
    for path in TABLES[name].files:
        (tmp_path / path.rpartition("/")[2]).write_bytes(b'{"cells": []}')
    with pytest.raises(ValueError, match=r"."):
        load_folder(name, tmp_path)


def test_a_digest_does_not_mind_order_or_type_but_every_digit():
    table = pd.DataFrame({"N": [1e9, 2e9], "loss": [3.14159265358, 2.5], "name": ["a", "b"]})
    assert digest(table) == digest(table.iloc[::-1])
    assert digest(table) == digest(table.astype({"N": int}))
    assert digest(table) != digest(table.assign(loss=[3.14159265359, 2.5]))
    assert digest(table) != digest(table.rename(columns={"N": "D"}))


# -- the command ------------------------------------------------------------


def test_nothing_is_downloaded_without_consent(mirror, tmp_path, capsys, monkeypatch):
    host, _, asked = mirror
    before = len(asked)
    words = [
        "data",
        "fetch",
        "kyo-llm",
        "--host",
        host,
        "--cache",
        str(tmp_path / "c"),
        "--out",
        str(tmp_path / "t.csv"),
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # not a terminal: nobody can answer
    assert main(words) == 2
    assert "pass --yes" in capsys.readouterr().err

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert "licence: Apache-2.0" in shown
    assert "kyo-takano/chinchilla at 75e5858f6e7c" in shown
    assert len(asked) == before
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_fetch_writes_a_table_that_fit_reads(mirror, tmp_path, capsys, ending):
    host, root, _ = mirror
    publish("quest-qat", root, as_source("quest-qat"))
    out = tmp_path / f"quest.{ending}"
    words = ["data", "fetch", "quest-qat", "--host", host, "--cache", str(tmp_path / "c"), "--out", str(out), "--yes"]
    assert main(words) == 0
    assert digest(pd.read_parquet(out) if ending == "parquet" else pd.read_csv(out)) == TABLES["quest-qat"].sha256
    assert main(words) == 2  # it is there already
    words = [
        "fit",
        str(out),
        "--law",
        "chinchilla+per-scheme:W4A4,W3A3",
        "--only",
        "scheme=W4A4,W3A3,BF16",
        "--fix",
        "E=1.6",
    ]
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    f = json.loads(capsys.readouterr().out)["parameters"]["f_W4A4"]["value"]
    assert 0.6 < f < 0.75  # 0.66 to 0.73 by base law in independent fits


def test_a_folder_replaces_the_download(tmp_path, capsys):
    out = tmp_path / "t.parquet"
    assert main(["data", "fetch", "gemstones", "--from", str(folder_of("gemstones")), "--out", str(out)]) == 0
    assert len(ps.load_runs(out)) == TABLES["gemstones"].rows
    assert "resample by run" in capsys.readouterr().out


def test_a_source_that_cannot_be_reached_is_said(tmp_path, capsys):
    words = ["data", "fetch", "kyo-llm", "--host", "http://127.0.0.1:9", "--cache", str(tmp_path), "--yes"]
    assert main([*words, "--out", str(tmp_path / "t.csv")]) == 2
    err = capsys.readouterr().err
    assert "127.0.0.1" in err
    assert "Traceback" not in err


def test_the_list_is_text_and_json(capsys):
    assert main(["data", "ls", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [r["name"] for r in records] == list(TABLES)
    assert main(["data", "ls"]) == 0
    assert "MIT" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no public table 'x'; there are chinchilla-epoch"):
        known("x")
