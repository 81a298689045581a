"""Files of runs as people have them: every dialect gives the same table, and an error names file, line and column."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim.cli import main

ROWS = [
    (1e6 * (i + 1), 2e7 * (j + 1), 3.5 - 0.1 * i - 0.05 * j, "4" if i % 2 else "") for i in range(4) for j in range(5)
]
HEADER = ["N", "D", "loss", "weights"]


def lines(separator=",", decimal="."):
    cells = [[f"{x:.6g}".replace(".", decimal) if isinstance(x, float) else x for x in row] for row in ROWS]
    return "\n".join(separator.join(row) for row in [HEADER, *cells]) + "\n"


def columns_of(path):
    return ps.load_runs(path)[HEADER].astype(float).to_dict("list")


@pytest.fixture
def expected(tmp_path):
    (tmp_path / "plain.csv").write_text(lines())
    return columns_of(tmp_path / "plain.csv")


def test_a_plain_file_is_read_number_by_number(expected):
    assert expected["N"] == [row[0] for row in ROWS]
    assert expected["loss"] == [float(f"{row[2]:.6g}") for row in ROWS]
    assert expected["weights"] == [4.0 if row[3] else np.inf for row in ROWS]  # empty bits are full precision


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("semicolons.csv", lines(";").encode()),
        ("decimal_commas.csv", lines(";", ",").encode()),
        ("tabs.tsv", lines("\t").encode()),
        ("tabs_called_csv.csv", lines("\t").encode()),
        ("SHOUTED.CSV", lines().encode()),
        ("mark.csv", lines().encode("utf-8-sig")),
        ("wide.csv", lines().encode("utf-16")),
        ("wide_without_mark.csv", lines().encode("utf-16-le")),
        ("windows.csv", lines().replace("\n", "\r\n").encode()),
        ("packed.csv.gz", gzip.compress(lines().encode())),
        ("spaced.csv", lines(" , ").encode()),
        ("blank_lines.csv", ("\n" + lines() + "\n , ,,\n\n").encode()),
        ("thousands.csv", lines().replace("1e+06", '"1,000,000"').encode()),
        (
            "lines.jsonl",
            "\n".join(
                json.dumps(dict(zip(HEADER, (*map(float, map("{:.6g}".format, r[:3])), r[3]), strict=True)))
                for r in ROWS
            ).encode(),
        ),
        (
            "array.json",
            json.dumps(
                [dict(zip(HEADER, (*map(float, map("{:.6g}".format, r[:3])), r[3] or None), strict=True)) for r in ROWS]
            ).encode(),
        ),
    ],
)
def test_every_dialect_gives_the_same_table(tmp_path, expected, name, content):
    (tmp_path / name).write_bytes(content)
    assert columns_of(tmp_path / name) == expected


def test_parquet_in_capitals_and_a_spreadsheet_or_what_it_needs(tmp_path, expected):
    frame = pd.DataFrame(expected)
    frame.to_parquet(tmp_path / "T.PARQUET")
    assert columns_of(tmp_path / "T.PARQUET") == expected
    try:
        frame.replace(np.inf, np.nan).to_excel(tmp_path / "t.xlsx", index=False)
    except ImportError:
        (tmp_path / "t.xlsx").write_bytes(b"PK")
        with pytest.raises(ValueError, match=r"t\.xlsx needs a library|t\.xlsx cannot be read"):
            ps.load_runs(tmp_path / "t.xlsx")
    else:
        assert columns_of(tmp_path / "t.xlsx") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("N,D,loss\n1e6,2e7,3.5\n1e6,4e7\n", r"t\.csv, line 3 has 2 fields, the header 3; was the file cut off"),
        ("N,D,loss\n1e6,2e7,3.5\n1e6,4e7,", r"t\.csv, line 3 ends in an empty loss.*cut off"),
        ("N,D,loss\n1e6,2e7,3.5,9\n1e6,4e7,3.4\n", r"line 2 has 4 fields, the header 3$"),
        ("N,D,loss\n1e6,2e7,3.5\n1e6,4e7,three\n", r"column loss must hold numbers; t\.csv, line 3 has 'three'"),
        ("N,D,loss\n1e6,2e7,3.5\n\n1e6,4e7,-3\n", r"column loss must be positive; t\.csv, line 4 has -3"),
        ("N,D,loss,weights\n1e6,2e7,3.5,4\n1e6,4e7,3,four\n", r"column weights must hold numbers; .*line 3 has 'four'"),
        ("N,D,loss,weights\n1e6,2e7,3.5,0\n", r"column weights must be at least 1 bit.*line 2 has 0"),
        ("N,D,loss,diverged\n1e6,2e7,3.5,x\n", r"column diverged must hold true or false.*line 2 has 'x'"),
        ("N,D,loss,loss\n1e6,2e7,3.5,3\n", r"line 1: 2 columns are called 'loss'"),
        ("N,D,Loss,loss\n1e6,2e7,3.5,3\n", r"'loss' and 'Loss' may all be loss"),
        ("N,D,loss,Weights\n1e6,2e7,3.5,3\n", r"'Weights' is probably weights.*--column weights='Weights'"),
        ("params,tokens,val_loss\n1e6,2e7,3.5\n", r"no column N, D, loss.*'params' may be N"),
        ('N,D,loss\n1e6,2e7,"3.5\n', r"t\.csv, line \d: .*cut off"),
        ("Step,a - loss,a - loss__MIN\n1,3,3\n", r"column of a chart's export"),
        ("", r"t\.csv is empty"),
        ("N,D,lo\x00ss\n", r"t\.csv, line 1"),
    ],
)
def test_errors_name_file_line_and_column(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        ps.load_runs(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", b'{"N": 1}\n{"N": ', r"t\.jsonl, line 2"),
        ("t.jsonl", b"[1]\n", r"line 1: a run is an object"),
        ("t.csv.gz", b"\x1f\x8bno", r"no whole gzip file"),
        ("t.csv", b"N,D,loss\n1,2,\xff3\n", r"t\.csv, line 2: byte \d+ is no utf-8"),
        ("t.parquet", b"PAR0", r"t\.parquet cannot be read as a parquet file"),
        ("t.docx", b"", r"runs are kept in \.db, \.csv"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        ps.load_runs(tmp_path / name)


def test_columns_are_renamed_and_scaled(tmp_path):
    (tmp_path / "t.csv").write_text("params (M),steps_done,batch,loss,D/N,w_bits\n1.5,1000,2048,3.5,9,16\n")
    names = {"N": "params (M)*1e6", "D": "steps_done*batch", "weights": "w_bits"}
    table = ps.load_runs(tmp_path / "t.csv", columns=names)
    assert table[["N", "D", "weights"]].to_numpy().tolist() == [[1.5e6, 2_048_000.0, 16.0]]
    assert "w_bits" not in table
    over = ps.load_runs(tmp_path / "t.csv", columns=names | {"ratio": "D/N/3"})
    assert over["ratio"].tolist() == [3.0]  # a column's own name may hold the sign of a quotient
    with pytest.raises(ValueError, match=r"'params\*1e6' is no column"):
        ps.load_runs(tmp_path / "t.csv", columns={"N": "params*1e6"})
    with pytest.raises(ValueError, match="has a column 'loss' already"):
        ps.load_runs(tmp_path / "t.csv", columns=names | {"loss": "D/N"})


def test_the_command_reads_a_table_of_other_origin(tmp_path, capsys, rng):
    law = ps.laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    loss = law(N, D) * np.exp(1e-3 * rng.standard_normal(25))
    table = pd.DataFrame({"params (M)": N / 1e6, "tokens": D, "eval/loss": loss, "diverged": ["no"] * 24 + ["yes"]})
    table.to_csv(tmp_path / "t.csv", sep=";", index=False)
    words = ["fit", str(tmp_path / "t.csv"), "--law", "chinchilla"]
    names = ["--column", "D=tokens", "--column", "loss=eval/loss"]
    assert main([*words, *names, "--column", "N=params (M)"]) == 2
    assert "is N in thousands, millions" in capsys.readouterr().err
    assert main([*words, *names, "--column", "N=params (M)*1e6", "--starts", "9", "--bootstrap", "30", "--rescan"]) == 0
    out = capsys.readouterr().out
    assert "25 rows read, 24 used, 1 left out because: diverged (1)" in out
    assert "of 9 starts agree" in out
    assert "30 searched from new starts" in out


def test_a_method_that_is_none_in_every_row_stays_a_word(tmp_path):
    """As in a table of runs that were only trained: a selection on "none" finds its rows."""
    file = tmp_path / "runs.csv"
    file.write_text("N,D,loss,post_method,weights_format\n1e6,1e8,3.0,none,\n2e6,1e8,2.9,none,\n")
    table = ps.load_runs(file)
    assert table["post_method"].tolist() == ["none", "none"]
    assert table["weights_format"].tolist() == ["", ""]
