"""Grid files: what they say, and how they are refused."""

from __future__ import annotations

import dataclasses
import json
import random
import re

import pytest
from support.commands import SMALL, call

from precsim.cli.grid_file import EXAMPLE, GridError, read
from precsim.models import FIRST_EDITION, MLP, Block, PerLayer, Recipe, Transformer
from precsim.models.recipes import Learned, everywhere, kumar
from precsim.models.training_recipes import nvfp4, quartet_2
from precsim.numerics import MXFP4, Quantizer
from precsim.training import SGD, Compute, Job, Linear, Warmup, WarmupStableDecay, train
from precsim.training.job import job_of
from precsim.training.languages import KingJames, Zipfgram
from precsim.training.ptq import AWQ, GPTQ, Post, Sample


def test_the_example_of_the_help_is_a_grid():
    jobs = read(EXAMPLE)
    assert len(jobs) == 28
    assert len({job.key for job in jobs}) == 28


def test_blocks_training_recipes_and_shares_of_the_steps_are_those_of_python():
    text = """
language = {kind = "zipfgram", order = 1, vocabulary = 16}
tokens = 4096
model = {kind = "transformer", width = 32, block = ["standard", "first-edition", {query_key_norm = true}]}
recipe = ["none", {training = ["nvfp4", "quartet-2"], exempt = ["block1.*"]}]
in_force = [[0.9, 1], [0, 0.5]]
"""
    blocks, exempt = [Block(), FIRST_EDITION, Block(query_key_norm=True)], ("block1.*",)
    expected = Job.grid(
        language=Zipfgram(order=1, vocabulary=16),
        tokens=4096,
        model=[Transformer(32, block=block) for block in blocks],
        recipe=[Recipe(), nvfp4(exempt=exempt), quartet_2(exempt=exempt)],
        in_force=[(0.9, 1.0), (0.0, 0.5)],
    )
    assert read(text) == expected
    for wrong, words in (
        ("in_force = [0.5]", "two shares"),
        ('recipe = {training = "fp3"}', "fp8-per-tensor.*'fp3'"),
        ('recipe = {backward = "nvfp4"}', "no such key.*training"),
        ('model = {kind = "transformer", width = 32, block = "modern"}', "first-edition.*'modern'"),
    ):
        key = wrong.partition(" ")[0]
        with pytest.raises(GridError, match=words):
            read("\n".join(line for line in text.splitlines() if not line.startswith(key)) + "\n" + wrong)


def test_a_grid_file_makes_the_jobs_that_python_makes():
    from precsim.numerics import FP4_E2M1, INT3, INT4, INT8, PerBlock, PerChannel, PerToken, Rounding

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
    from precsim.models.recipes import Fitted, Rotated, Stored, quest
    from precsim.numerics import BF16, FP32, INT4, INT8, Accumulator, Order, PerTensor

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
    from precsim.cli.grid_values import FIELDS

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
    from precsim.numerics import INT3, INT4, PerChannel, Quantizer

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
