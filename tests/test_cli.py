"""The command line: what it computes equals the package, and no input makes it crash."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim.cli import main
from precsim.cli.forms import form, published, slug
from precsim.cli.gridfile import EXAMPLE, GridError, read
from precsim.cli.specs import job_of
from precsim.languages import KingJames
from precsim.laws.published import CATALOG, KUMAR_2024
from precsim.models import MLP, Transformer
from precsim.planning import H100
from precsim.ptq import AWQ, GPTQ, Post, Sample
from precsim.quantize import MXFP4, Quantizer
from precsim.recipes import Learned, PerLayer, Recipe, everywhere, kumar
from precsim.runs import RunStore
from precsim.schedules import SGD, Linear, Warmup, WarmupStableDecay
from precsim.training import Compute, Job, train

SMALL = """
language = {kind = "zipf-facts", vocabulary = 8}
batch_tokens = 64
tokens = [640, 1280]
post = ["INT3", "INT4"]
[[grid]]
model = {kind = "mlp", width = 4}
recipe = [{weights = "INT3"}, "none"]
"""


def call(capsys, *words) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """Losses and damages of a known law with seed noise, as a file."""
    rng = np.random.default_rng(11)
    law = ps.laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    law = law | ps.laws.Saturating(ps.laws.WEIGHTS, c=8.0, gamma=1.2)
    law = law | ps.laws.KumarDegradation(C_T=0.06, gamma_D=0.5, gamma_N=0.35, gamma_post=0.6)
    rows = []
    cells = itertools.product(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 5e10, 4), (3.0, 4.0, 6.0, math.inf))
    for k, (N, D, weights) in enumerate(cells):
        noise = math.exp(0.002 * rng.standard_normal())
        for post in (math.inf, 3.0, 4.0):
            delta = 0.0 if math.isinf(post) else float(law.delta(N, D, weights=weights, post=post))
            delta *= math.exp(0.05 * rng.standard_normal())
            loss = float(law(N, D, weights=weights)) * noise + delta
            rows.append(
                {"job": f"j{k}", "N": N, "D": D, "weights": weights, "post": post, "loss": loss, "delta": delta}
            )
    path = tmp_path_factory.mktemp("table") / "runs.parquet"
    pd.DataFrame(rows).to_parquet(path, index=False)
    return path


# -- words for laws ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("chinchilla", ps.laws.Chinchilla()),
        ("tied+offset:tied", ps.laws.Tied() | ps.laws.Offset(ps.laws.TIED)),
        ("outer+saturating:kv:D", ps.laws.OuterExponent() | ps.laws.Saturating(ps.laws.KV, on=ps.laws.Effective.D)),
        ("beta-of-n+drifting:plain:weights", ps.laws.BetaOfN() | ps.laws.Drifting(ps.laws.Plain(ps.laws.WEIGHTS))),
        ("kaplan+per-scheme:W4A4,FP4", ps.laws.Kaplan() | ps.laws.PerScheme(("W4A4", "FP4"))),
        ("chinchilla+chen:tied", ps.laws.Chinchilla() | ps.laws.ChenDegradation(ps.laws.TIED)),
        ("ouyang", ps.laws.OuyangDegradation()),
        ("kumar-2024", KUMAR_2024),
    ],
)
def test_words_make_the_law_that_they_say(text, law):
    assert form(text) == law


def test_every_part_that_can_be_composed_has_a_word():
    words = "chinchilla tied outer beta-of-n kaplan kumar robust ouyang second-order sun per-scheme:a chen:tied".split()
    words += [f"{w}:weights" for w in "saturating plain offset powered gaussian drifting:saturating".split()]
    assert {type(form(word)).__name__ for word in words} == _kinds()


def _kinds() -> set[str]:
    from precsim.laws.composition import Part

    return {name for name, kind in Part.kinds.items() if not getattr(kind, "__abstractmethods__", None)}


def test_every_published_law_has_a_name():
    assert len(published()) == len(CATALOG)
    assert all(form(slug(entry.name)) == entry.law for entry in CATALOG)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no part of a law"),
        ("chinchila", "(?s)'chinchila'.*bases .*chinchilla"),
        ("chinchilla:weights", "takes nothing after it"),
        ("saturating", "needs a tensor"),
        ("saturating:weight", "needs a tensor: saturating:weights"),
        ("saturating:weights:E", "may have :N"),
        ("drifting:chinchilla", "needs a factor"),
        ("per-scheme", "needs the schemes"),
        ("chinchilla+tied", "one base"),
        ("saturating:weights+offset:weights", "share the parameters"),
        ("nowhere.json", "no file nowhere.json"),
    ],
)
def test_a_law_that_is_not_understood_is_refused_with_what_would_be(text, message):
    with pytest.raises(ValueError, match=message):
        form(text)


# -- fit, compare, plan ------------------------------------------------------------------------------------------------


def test_fit_prints_what_the_package_computes(capsys, table, tmp_path):
    words = (
        "fit",
        table,
        "--law",
        "chinchilla+saturating:weights+kumar",
        "--bootstrap",
        60,
        "--by",
        "job",
        "--seed",
        3,
    )
    status, out, _ = call(capsys, *words, "--json", "--save", tmp_path / "fit.json")
    assert status == 0
    record = json.loads(out)
    assert record == json.loads((tmp_path / "fit.json").read_text())
    law = ps.laws.Chinchilla() | ps.laws.Saturating(ps.laws.WEIGHTS) | ps.laws.KumarDegradation()
    found = ps.fit(law, ps.load_runs(table))
    draws = ps.bootstrap(found, n=60, rng=np.random.default_rng(3), by="job")
    assert {name: p["value"] for name, p in record["parameters"].items()} == found.parameters
    alpha = ps.interval(draws, lambda law: law.alpha)
    assert (record["parameters"]["alpha"]["low"], record["parameters"]["alpha"]["high"]) == (alpha.low, alpha.high)
    assert form(str(tmp_path / "fit.json")) == found.law


def test_a_fit_can_be_planned_with_its_draws(capsys, table, tmp_path):
    saved = tmp_path / "fit.json"
    words = ("fit", table, "--law", "chinchilla+saturating:weights", "--bootstrap", 40, "--save", saved)
    assert call(capsys, *words)[0] == 0
    status, out, _ = call(capsys, "plan", "--law", saved, "--compute", 1e21, "--json")
    assert status == 0
    record = json.loads(out)
    assert all(len(option["regret_interval"]) == 2 for option in record["options"])
    low, high = record["options"][0]["loss_interval"]
    assert low < record["options"][0]["loss"] < high


def test_fix_tie_only_and_suspicious(capsys, table):
    status, out, _ = call(
        capsys,
        "fit",
        table,
        "--law",
        "chinchilla",
        "--only",
        "weights=inf",
        "--fix",
        "E=1.7",
        "--tie",
        "alpha=beta",
        "--json",
    )
    assert status == 0
    values = json.loads(out)["parameters"]
    assert "E" not in values
    assert values["alpha"]["value"] == values["beta"]["value"]
    assert json.loads(out)["stages"][0]["rows"] == 20


def test_intervals_with_misfit_say_so(capsys, table):
    words = ["fit", table, "--law", "chinchilla", "--only", "weights=inf", "--bootstrap", "30"]
    _, plain, _ = call(capsys, *words)
    assert "they assume the form" in plain
    status, out, _ = call(capsys, *words, "--misfit")
    assert status == 0
    assert "smooth part" in out
    record = json.loads(call(capsys, *words, "--misfit", "--json")[1])
    assert record["interval"]["method"] == "bootstrap percentile with misfit"
    assert record["misfit"][0]["noise"] == pytest.approx(0.002, rel=0.4)


def test_a_degradation_can_be_compared_and_a_failure_is_explained(capsys, table):
    low = ["--only", "post=3,4", "--split", "data"]
    status, out, _ = call(capsys, "compare", table, "--law", "kumar", "--law", "ouyang", *low)
    assert status == 0
    assert "inf" not in out
    forms = ["--law", "chinchilla+saturating:weights", "--law", "chinchilla+saturating:kv"]
    assert "inf: Chinchilla | Saturating(kv): " in call(capsys, "compare", table, *forms, "--split", "data")[1]


def test_a_plan_says_which_widths_its_law_does_not_read(capsys, table, tmp_path):
    saved = tmp_path / "fit.json"
    call(capsys, "fit", table, "--law", "chinchilla+saturating:weights", "--save", saved)
    out = call(capsys, "plan", "--law", saved, "--compute", "1e20")[1]
    assert "does not read the bits of activations" in out
    assert json.loads(call(capsys, "plan", "--compute", "1e20", "--json")[1])["unseen"] == []


def test_a_plan_says_which_widths_its_device_does_not_multiply(capsys):
    out = call(capsys, "plan", "--compute", "1e23", "--hardware", "h100", "--bits", "4,8,16")[1]
    assert "H100 SXM has no products of 4 bits: they pay for 8" in out
    record = json.loads(call(capsys, "plan", "--compute", "1e23", "--hardware", "b200", "--bits", "4,8", "--json")[1])
    assert record["lacking"] == {}


def test_a_published_law_can_be_refitted(capsys, table):
    assert call(capsys, "fit", table, "--law", "hoffmann-2022")[2].startswith("precsim fit: every parameter")
    status, out, _ = call(capsys, "fit", table, "--law", "hoffmann-2022", "--refit", "--only", "weights=inf", "--json")
    assert status == 0
    assert abs(json.loads(out)["parameters"]["alpha"]["value"] - 0.35) < 0.02


def test_compare_says_what_the_package_says(capsys, table):
    words = ["compare", table, "--law", "chinchilla+saturating:weights", "--law", "chinchilla", "--split", "size"]
    status, out, _ = call(capsys, *words, "--json")
    assert status == 0
    record = json.loads(out)
    assert record["verdict"] == record["preferred"] == "chinchilla+saturating:weights"
    assert [score["law"] for score in record["scores"]] == ["chinchilla+saturating:weights", "chinchilla"]
    status, out, _ = call(capsys, *words[:-1], "group:weights=3,4")
    assert status == 0
    assert "verdict" in out


def test_plan_gives_the_reference_answer(capsys):
    status, out, _ = call(capsys, "plan", "--compute", "1e23")
    assert status == 0
    assert "W7A7KV7: N = 5.345e+10" in out
    assert "2.81187" in out
    status, out, _ = call(capsys, "plan", "--compute", "1e23", "--hardware", "h100", "--json")
    record = json.loads(out)
    assert record["choice"] == "W8A8KV8"  # a FLOP at 7 bits costs what one at 8 costs
    expected = ps.plan(KUMAR_2024, compute=1e23, hardware=H100)
    assert record["loss"] == expected.loss
    assert [option["choice"] for option in record["options"]] == [o.choice.label for o in expected.options]


def test_a_plan_with_choices_of_its_own(capsys):
    words = ("plan", "--dollars", 1e6, "--dollars-per-hour", 2, "--hardware", "h200", "--memory", 16e9)
    status, out, _ = call(capsys, *words, "--choice", "full,full,full,4", "--choice", "8,8,8", "--json")
    assert status == 0
    record = json.loads(out)
    assert {option["choice"] for option in record["options"]} == {"W16A16KV16>4", "W8A8KV8"}
    assert record["options"][0]["bits"]["weights"] == "Infinity"
    assert record["binding"] == "PARAMETERS"


def test_a_law_without_precision_is_planned_at_full_precision_only(capsys):
    """It sees no harm in few bits, so the cheapest width would look best."""
    status, out, _ = call(capsys, "plan", "--law", "hoffmann-2022", "--compute", "1e22", "--json")
    assert status == 0
    assert [option["choice"] for option in json.loads(out)["options"]] == ["W16A16KV16"]
    status, _, err = call(capsys, "plan", "--law", "hoffmann-2022", "--compute", "1e22", "--bits", "4,16")
    assert status == 2
    assert "says nothing of low precision" in err


@pytest.mark.parametrize("command", ["fit", "compare", "plan"])
def test_a_report_is_one_page_that_asks_no_other_host(capsys, table, tmp_path, command):
    page = tmp_path / "report.html"
    words = {
        "fit": ("fit", table, "--law", "chinchilla+saturating:weights+kumar"),
        "compare": ("compare", table, "--law", "chinchilla+saturating:weights", "--law", "tied", "--split", "compute"),
        "plan": ("plan", "--compute", 1e21),
    }[command]
    status, _, err = call(capsys, *words, "--html", page)
    assert (status, err) == (0, "")
    text = page.read_text(encoding="utf-8")
    assert (
        text.count("<figure")
        == text.count('<script type="application/json">')
        >= {"fit": 10, "compare": 2, "plan": 2}[command]
    )
    assert 'src="' not in text.partition("<script")[0]
    assert "<link" not in text
    assert "<script src" not in text


# -- grid files ------------------------------------------------------------


def test_the_example_of_the_help_is_a_grid():
    jobs = read(EXAMPLE)
    assert len(jobs) == 28
    assert len({job.key for job in jobs}) == 28


def test_a_grid_file_makes_the_jobs_that_python_makes():
    from precsim.formats import FP4_E2M1, INT3, INT4, INT8
    from precsim.languages import Zipfgram
    from precsim.quantize import PerBlock, PerChannel, PerToken
    from precsim.rounding import Rounding

    text = """
language = {kind = "zipfgram", order = 1, vocabulary = 16}
[[grid]]
model = {kind = "transformer", width = 32, layers = 1, window = 32}
tokens = [4096, 8192]
seed = [0, 1]
learning_rate = 0.01
weight_decay = 0.1
batch_tokens = 512
holdout = true
compute = "tf32"
looks = [1000, 2000]
schedule = {kind = "warmup-stable-decay", warmup = {share = 0.2, most = 50}, decay = 0.3}
optimizer = {kind = "sgd", momentum = 0.8}
sample = {sequences = 64}
recipe = [
  "none",
  {weights = "INT4", activations = "INT8", kv = "INT8"},
  {style = "per-token", activations = "INT8"},
  "MXFP4",
  {weights = {default = "INT4", layers = {"block0.up" = "none", head = "INT8"}}},
  {weights = {format = "FP4_E2M1", scaling = {kind = "per-block", size = 16}, rounding = "stochastic"}},
]
post = [
  "INT3",
  {weights = ["INT3", "INT4"], method = "gptq"},
  {weights = "INT3", kv = "INT4", method = {kind = "awq", steps = 5}},
]
"""
    int4 = Quantizer(INT4, PerChannel(axis=-1))
    expected = Job.grid(
        language=Zipfgram(order=1, vocabulary=16),
        model=Transformer(32, layers=1, window=32),
        tokens=[4096, 8192],
        seed=[0, 1],
        learning_rate=0.01,
        weight_decay=0.1,
        batch_tokens=512,
        holdout=True,
        compute=Compute.TF32,
        looks=(1000, 2000),
        schedule=WarmupStableDecay(warmup=Warmup(share=0.2, most=50), decay=0.3),
        optimizer=SGD(momentum=0.8),
        sample=Sample(sequences=64),
        recipe=[
            Recipe(),
            kumar(weights=INT4, activations=INT8, kv=INT8),
            Recipe(activations=Quantizer(INT8, PerToken())),
            everywhere(MXFP4),
            Recipe(
                weights=PerLayer(default=int4, layers={"block0.up": None, "head": Quantizer(INT8, PerChannel(axis=-1))})
            ),
            Recipe(weights=Quantizer(FP4_E2M1, PerBlock(16), Rounding.STOCHASTIC)),
        ],
        post=(
            Quantizer(INT3, PerChannel(axis=-1)),
            Post(Recipe(weights=Quantizer(INT3, PerChannel(axis=-1))), GPTQ()),
            Post(Recipe(weights=int4), GPTQ()),
            Post(Recipe(weights=Quantizer(INT3, PerChannel(axis=-1)), kv=Quantizer(INT4, PerToken())), AWQ(steps=5)),
        ),
    )
    assert read(text) == expected
    assert all(job.holdout for job in read(text))


def test_a_recipe_has_every_field_and_preparation():
    from precsim.arithmetic import Accumulator, Order
    from precsim.formats import BF16, FP32, INT4, INT8
    from precsim.quantize import PerTensor
    from precsim.recipes import Fitted, Rotated, Stored, quest

    def recipe(text: str) -> Recipe:
        head = 'language = "zipfgram"\ntokens = 4096\nmodel = {kind = "transformer", width = 32}\n'
        (job,) = read(f"{head}recipe = {text}\n")
        assert job_of(_run(job)).recipe == job.recipe
        return job.recipe

    weights = '{format = "INT4", fitted = true, rotate = 64}'
    activations = '{format = "INT4", fitted = true, rotate = 64, scaling = "per-token"}'
    text = f"{{weights = {weights}, activations = {activations}}}"
    assert recipe(text) == quest(weights=INT4, activations=INT4)
    assert isinstance(recipe(text).weights, Rotated)
    assert isinstance(recipe('{kv = {format = "INT4", fitted = true}}').kv, Fitted)
    assert recipe('{gradients = "INT8"}').gradients == Quantizer(INT8, PerTensor())
    assert recipe('{master = {format = "BF16", rounding = "stochastic"}}').master.format == BF16
    assert recipe('{master = "BF16"}').master == Stored(BF16)
    assert recipe('{accumulator = {format = "BF16", order = "blocked", block = 16, inner = "FP32"}}') == Recipe(
        accumulator=Accumulator(BF16, Order.BLOCKED, block=16, inner=FP32)
    )
    assert recipe('{accumulator = {default = "BF16", layers = {"block0.up" = "none"}}}').accumulator.pairs


def _run(job: Job):
    from precsim.runs import Evaluation, Run

    look = Evaluation(step=1, loss=1.0, gap=0.1, delta=0.0, delta_se=0.0)
    return Run(
        job=job.key, model="", N=1, D=1, entropy=1.0, steps=1, evaluations=(look,), spec=job.spec, holdout=job.holdout
    )


def test_every_field_of_a_job_can_be_set():
    from precsim.cli.jobwords import FIELDS

    assert set(FIELDS) == {field.name for field in dataclasses.fields(Job)}


GOOD = 'language = "zipf-facts"\ntokens = 1000\nmodel = {kind = "mlp", width = 4}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"g:1: needs model; model, language"),
        (GOOD + "tokns = 3\n", r"g:4: tokns: no such key; there are model, "),
        (GOOD.replace("4", '"4"'), r"g:3: model.width: must be an integer, not '4'"),
        (GOOD.replace("4", "0"), r"g:3: model.width: MLP needs width"),
        (GOOD.replace("mlp", "MLP"), r"g:3: model.kind: must be one of mlp, transformer, not 'MLP'"),
        (GOOD + "seed = []\n", r"g:4: seed: the list of alternatives is empty"),
        (GOOD + "seed = [0,\n 1, -1]\n", r"g:4: seed: seed must be from 0"),
        (GOOD + "learning_rate = nan\n", r"g:4: learning_rate: must be a finite number, not nan"),
        (GOOD + "[[grid]]\nseed = 1\n[[grid]]\nseed = true\n", r"g:7: seed: must be an integer, not True"),
        (GOOD + '[[grid]]\n[grid.recipe]\nweights = "INT99"\n', r"g:6: recipe.weights: must be a format"),
        (GOOD + 'recipe = {kv = "INT4"}\n', r"g:4: recipe: MLP.*has no kv to quantize"),
        (GOOD + "post = [{}]\n", r"g:4: post: quantizes nothing"),
        (GOOD + "looks = [5000]\n", r"g:4: looks: looks must lie between 1 and tokens"),
        (GOOD + 'schedule = {kind = "cosine",\n final = 1 }\n', r"g:4: not TOML: .*line 4"),
        (GOOD + 'schedule = {kind = "cosine", final = 7}\n', r"g:4: schedule.final: final must lie between 0 and 1"),
        (GOOD.replace('"mlp", width = 4', '"transformer", width = 32'), r"g:1: language: ZipfFacts.* no sequences"),
        (GOOD.replace("4", "[4, 8]") + f"seed = {list(range(1001))}\ntokens.a = 3\n", "not TOML"),
        (GOOD.replace("1000", str(10**40)), r"g:2: tokens: must be at most 9,007,199,254,740,992, not a longer number"),
        ("model = " + "[" * 3000, "not TOML|nested too deeply"),
        ("grid = 3\n", r"g:1: is written \[\[grid\]\]"),
        (GOOD.replace("width = 4", "width = 4, layers = 4000000"), r"g:3: model.layers: must be at most 1,000"),
    ],
)
def test_a_wrong_grid_file_is_refused_by_line_and_key(text, message):
    with pytest.raises(GridError, match=message):
        read(text, "g")


def mutated(text: str, rng: random.Random) -> str:
    """A text with one to three small changes: what a hand at a keyboard does."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        lines = text.split("\n")
        n = rng.randrange(len(lines))
        where = rng.randrange(len(text)) if text else 0
        junk = rng.choice(
            [*"[]{}=\"',.#-_ \n0159e", "inf", "nan", "true", "[]", "{}", '""', "1e400", "-1", "½", "\x00"]
        )
        words = [w for w in _words(text) if w]
        match rng.randrange(9):
            case 0:
                text = text[:where] + text[where + rng.randrange(1, 4) :]
            case 1:
                text = text[:where] + junk + text[where:]
            case 2:
                lines[n:n] = [lines[rng.randrange(len(lines))]]
                text = "\n".join(lines)
            case 3:
                del lines[n]
                text = "\n".join(lines)
            case 4 | 5 if words:
                text = text.replace(rng.choice(words), rng.choice([*words, junk]), 1)
            case 6:
                numbers = [w for w in words if w.replace("_", "").isdigit()]
                if numbers:
                    value = rng.choice(
                        ["0", "-3", "1.5", "99999999999999999999", "true", '"8"', "[1, [2]]", "{}", "2026-01-01"]
                    )
                    text = text.replace(rng.choice(numbers), value, 1)
            case 7:
                text = text[:where] + text[where:][::-1] if rng.random() < 0.2 else text[:where]
            case _:
                other = rng.randrange(len(lines))
                lines[n], lines[other] = lines[other], lines[n]
                text = "\n".join(lines)
    return text


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9_.-]+", text)


FULL = """
language = [{kind = "zipf-facts", vocabulary = 8, tail = 0.5}, "zipfgram"]
batch_tokens = 64
looks = [100, 300]
schedule = {kind = "linear", warmup = {share = 0.1, most = 20}, final = 0.0}
optimizer = {kind = "adamw", clip = 1.0}
[[grid]]
model = {kind = "mlp", width = [4, 8], layers = 1}
tokens = [640, 1280]
recipe = [{weights = ["INT3", "FP4_E2M1"], activations = "INT8"}, "MXFP4"]
post = ["INT3", {weights = {format = "INT4", scaling = {kind = "per-block", size = 4}}, method = "gptq"}]
[[grid]]
model = {kind = "transformer", width = 16, head_width = 8, window = 32}
language = {kind = "zipfgram", order = 1, vocabulary = 16}
tokens = 2048
seed = [0, 1]
learning_rate = 0.01
holdout = true
compute = "float32"
sample = {sequences = 16}
recipe = {kv = "INT4", weights = {default = "INT4", layers = {"block0.*" = "INT8"}}}
"""


ODD = """
language = [{kind = "king-james", passes = 2, context = 5}, "zipfgram"]
probes = [0, 2]
average = 0.99
[[grid]]
model = {kind = "mlp", width = [4, 8], layers = 1}
tokens = [64000, 128000]
recipe = [
  {weights = {format = "INT3", learned = true}, activations = {format = "INT8", fitted = true, rotate = 16}},
  {gradients = "FP8_E5M2", accumulator = {format = "FP16", order = "blocked", block = 16, inner = "FP32"}},
  {master = {format = "BF16", rounding = "stochastic-a"}},
]
post = ["INT3", {weights = "INT4", method = {kind = "gptq", ordered = true}}]
[[grid]]
language = "king-james"
model = {kind = "transformer", width = 16, kv_heads = 1, feed = "swiglu"}
tokens = 4096
compute = "bf16"
recipe = [{weights = "NVFP4"}, "MXFP4", {weights = {default = {format = "INT4", learned = [true, false]}}}]
"""


def test_real_text_and_learned_scales_in_a_grid_file():
    from precsim.formats import INT3, INT4
    from precsim.quantize import PerChannel, Quantizer

    jobs = read(ODD)
    assert jobs[0].language == KingJames(passes=2, context=5)
    assert jobs[0].recipe.weights == Learned(Quantizer(INT3, PerChannel(axis=-1)))
    assert jobs[0].post[1].method == GPTQ(ordered=True)
    assert jobs[-2].recipe.weights.default == Learned(Quantizer(INT4, PerChannel(axis=-1)))
    with pytest.raises(GridError, match=r"g:4: recipe\.weights\.learned: .* neither fitted nor rotated"):
        read(GOOD + 'recipe.weights = {format = "INT4", learned = true, fitted = true}\n', "g")


def test_a_thousand_mutated_grid_files_are_refused_or_valid(capsys, tmp_path):
    rng = random.Random(20241107)
    path = tmp_path / "grid.toml"
    refused = valid = 0
    for _ in range(1000):
        text = mutated(rng.choice((EXAMPLE, SMALL, FULL, ODD)), rng)
        path.write_text(text, encoding="utf-8")
        status, out, err = call(capsys, "sweep", path, "--dry-run", "--json")
        assert "Traceback" not in err
        if status == 0:
            valid += 1
            assert json.loads(out)["jobs"] >= 1
        else:
            refused += 1
            assert status == 2
            assert re.match(r"precsim sweep: grid\.toml:\d+: ", err), text
            assert len(err) > 30
    assert refused > 300
    assert valid > 100


@pytest.mark.slow
def test_valid_mutated_grid_files_run(tmp_path, capsys):
    rng = random.Random(7)
    path = tmp_path / "grid.toml"
    done = 0
    while done < 6:
        text = mutated(SMALL, rng)
        try:
            jobs = read(text)
        except GridError:
            continue
        if text == SMALL or sum(6 * job.N * job.D for job in jobs) > 1e9:
            continue
        path.write_text(text, encoding="utf-8")
        status, out, _ = call(capsys, "sweep", path, "--store", tmp_path / f"{done}.db", "--json", "--quiet")
        assert status == 0
        assert json.loads(out)["runs"] == len({job.key for job in jobs})
        done += 1


# -- sweeps and stores ------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "grid.toml").write_text(SMALL, encoding="utf-8")
    assert main(["sweep", str(folder / "grid.toml"), "--store", str(folder / "runs.db"), "--quiet"]) == 0
    return folder / "runs.db"


def test_a_sweep_keeps_every_run_and_goes_on_where_it_stopped(capsys, store):
    jobs = read(SMALL)
    with RunStore(store) as kept:
        assert kept.keys() == {job.key for job in jobs}
    grid = store.parent / "grid.toml"
    status, out, _ = call(capsys, "sweep", grid, "--store", store, "--dry-run")
    assert status == 0
    assert "4, 4 of them in" in out
    assert "training    0FLOP" in out
    status, out, _ = call(capsys, "sweep", grid, "--store", store, "--json", "--quiet")
    assert json.loads(out)["runs"] == 4


def test_the_dry_run_counts_what_the_sweep_does(capsys, store):
    status, out, _ = call(capsys, "sweep", store.parent / "grid.toml", "--dry-run", "--json")
    record = json.loads(out)
    jobs = read(SMALL)
    assert status == 0
    assert record["jobs"] == record["to_train"] == 4
    assert record["flop"] == sum(6 * job.N * job.D for job in jobs)
    assert record["evaluations"] == 12
    assert not (store.parent / "None").exists()


def test_runs_ls_show_export_merge(capsys, store, tmp_path):
    status, out, _ = call(capsys, "runs", "ls", store, "--json")
    assert status == 0
    listed = json.loads(out)
    assert len(listed) == 4
    key = listed[0]["job"]
    status, out, _ = call(capsys, "runs", "show", store, key[:10], "--json")
    shown = json.loads(out)
    assert shown["job"] == key
    assert shown["spec"]["is"] == "Job"
    assert len(shown["evaluations"]) == 3
    status, out, _ = call(capsys, "runs", "ls", store)
    assert "4 runs, 12 evaluations, 0 diverged" in out
    status, out, _ = call(capsys, "runs", "show", store, key)
    assert "entropy" in out
    for name in ("t.parquet", "t.csv"):
        assert call(capsys, "runs", "export", store, tmp_path / name)[0] == 0
        assert len(ps.load_runs(tmp_path / name)) == 12
    status, _, err = call(capsys, "runs", "export", store, tmp_path / "t.csv")
    assert status == 2
    assert "is there already" in err
    status, out, _ = call(capsys, "runs", "merge", tmp_path / "all.db", store, store)
    assert status == 0
    assert out.count("4 runs copied") == 1
    assert "0 runs copied" in out


def test_ptq_trains_again_and_agrees_with_the_stored_model(capsys, store, tmp_path):
    with RunStore(store) as kept:
        run = next(run for run in kept.runs() if math.isinf(run.weights))
    out_store = tmp_path / "ptq.db"
    words = ("ptq", store, "--job", run.job, "--post", "INT2", "--post", "INT4", "--store", out_store, "--quiet")
    assert call(capsys, *words)[0] == 0
    with RunStore(out_store) as kept:
        (again,) = kept.runs()
    assert again.loss == pytest.approx(run.loss, rel=1e-5)  # the population had more places: another order of sums
    old = next(e for e in run.evaluations if e.post == 4)
    new = next(e for e in again.evaluations if e.post == 4)
    assert new.delta == pytest.approx(old.delta, rel=1e-3)
    assert {e.post for e in again.evaluations} == {math.inf, 2.0, 4.0}


@pytest.mark.parametrize("job", read(FULL)[::3], ids=lambda job: job.key)
def test_a_spec_is_read_back_as_its_job(job):
    again = job_of(_run(job))
    assert (again.key, again.recipe, again.post, again.holdout) == (job.key, job.recipe, job.post, job.holdout)


def test_a_spec_of_another_version_is_refused():
    run = train(Job(model=MLP(4), language=read(SMALL)[0].language, tokens=64, batch_tokens=64, schedule=Linear()))
    for spec, message in (
        ("", "keeps no spec"),
        ("[]", "another job"),
        ('{"is": "Job", "x": 1}', "not one of this version"),
    ):
        with pytest.raises(ValueError, match=message):
            job_of(dataclasses.replace(run, spec=spec))


# -- bad input ------------------------------------------------------------


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


def test_the_command_is_installed_and_starts_without_heavy_libraries():
    code = "import sys; from precsim.cli import main; main(['data', 'ls', '--names']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jax", "altair", "pandas", "numba", "sympy"} & set(done.stdout.split())


def test_help_names_every_command_and_shows_a_grid(capsys):
    assert call(capsys, "--help")[0] == 0
    status, out, _ = call(capsys, "sweep", "--help")
    assert status == 0
    assert "every key is a field of a Job" in out
    assert "chinchilla" in call(capsys, "plan", "--laws")[1]
