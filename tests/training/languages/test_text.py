"""Real text: what is in it, that training and evaluation never meet, and that every passage comes once."""

import math
import re

import jax
import numpy as np
import pytest
from scipy import stats

from precsim.models import MLP, Recipe, Transformer
from precsim.numerics import INT3, PerChannel, Quantizer
from precsim.runs import Evaluation, Run, RunStore, check, excess
from precsim.training import Job, train, train_model
from precsim.training.job import job_of
from precsim.training.languages import (
    ALPHABET,
    STRETCH,
    KingJames,
    characters,
    entropy,
    exact,
    passages,
    sampling,
    stretches,
    text,
)
from precsim.training.ptq import GPTQ, Post, Sample, damage
from precsim.training.ptq.held_out import held_out

THREE = Quantizer(INT3, PerChannel(axis=-1))


def words(tokens) -> str:
    return "".join(ALPHABET[token] for token in np.ravel(tokens))


def inside(begin: np.ndarray, length: int, held: bool) -> bool:
    """Whether passages lie in stretches of one part, as a whole."""
    first, last = begin // STRETCH * STRETCH, (begin + length - 1) // STRETCH * STRETCH
    return bool(np.isin(first, stretches(held_out=held)).all() and (first == last).all())


def test_the_book_is_whole():
    book = words(characters())
    verses = book.splitlines()
    assert len(verses) == 31_102  # the usual count of the Protestant canon
    assert verses[0] == "In the beginning God created the heaven and the earth."
    assert verses[-1] == "The grace of our Lord Jesus Christ be with you all. Amen."
    assert verses.count("Jesus wept.") == 1
    assert "Methuselah were nine hundred sixty and nine years" in book
    assert len(set(ALPHABET)) == KingJames().vocabulary == 64


def test_training_and_held_out_parts_share_no_character():
    training, held = stretches(held_out=False), stretches(held_out=True)
    begins = np.sort(np.concatenate([training, held]))
    assert np.array_equal(begins, STRETCH * np.arange(len(characters()) // STRETCH))
    assert len(held) * 15 <= len(training) <= len(held) * 16


@pytest.mark.parametrize(("A", "B"), [(1, 1), (2, 3), (7, 64), (947, 63)])
def test_the_order_is_a_permutation_and_another_one_in_each_turn(A, B):
    number = np.arange(A * B, dtype=np.uint32)
    key = jax.random.bits(jax.random.key(0), (2,))
    orders = []
    for turn in (0, 1):
        a, b = passages.shuffled(number // B, number % B, A, B, np.uint32(turn), key)
        orders.append(np.asarray(a).astype(int) * B + np.asarray(b))
        assert np.array_equal(np.sort(orders[-1]), number)
    assert A * B < 10 or (orders[0] != orders[1]).mean() > 0.9


@pytest.mark.parametrize("window", [None, 64, 100])
def test_within_a_pass_every_target_comes_at_most_once_and_only_from_the_training_part(window):
    language = KingJames(passes=2)
    stride, length = window or 1, (window or language.context) + 1
    once = language.positions(window) // (2 * stride)
    training = passages.book(language).training
    starts = jax.jit(passages.starts, static_argnums=(3, 4, 5))
    begin = np.asarray(starts(training, jax.random.key(3), 0, 2 * once, length, stride))
    assert inside(begin, length, held=False)
    for turn in (begin[:once], begin[once:]):
        assert len(np.unique(turn)) == once
        assert window is None or np.diff(np.sort(turn)).min() >= stride
    assert np.mean(begin[:once] == begin[once:]) < 0.01


def test_batches_go_through_the_passes_step_by_step():
    language, book, key = KingJames(), passages.book(KingJames()), jax.random.key(5)
    begin = np.asarray(passages.starts(book.training, key, 0, 96, 17, 16))
    read = np.concatenate([sampling.batch(language, book, key, n, 32, 16)[0] for n in range(3)])
    assert words(read) == words([characters()[b : b + 16] for b in begin])
    tokens, targets = sampling.batch(language, book, key, 2, 32)
    text = words(characters())
    assert all(words(row) + ALPHABET[t] in text for row, t in zip(np.asarray(tokens), np.asarray(targets), strict=True))


def test_passages_come_in_no_order():
    begin = np.asarray(passages.starts(passages.book(KingJames()).training, jax.random.key(0), 0, 200_000, 7, 1))
    stretch, place = begin // STRETCH, begin % STRETCH
    for values in (stretch, place % 10, (stretch + place) % 61, np.diff(begin) % 59):  # 4090 places, 947 stretches
        counts = np.unique(values, return_counts=True)[1]
        assert stats.chisquare(counts).pvalue > 1e-4
    assert abs(np.corrcoef(begin[1:], begin[:-1])[0, 1]) < 0.01
    assert abs(np.corrcoef(stretch, place)[0, 1]) < 0.01


@pytest.mark.parametrize("model", [MLP(4), Transformer(16)], ids=str)
def test_the_loss_is_the_mean_surprise_of_held_out_characters(model):
    language, sample = KingJames(), Sample(sequences=40, seed=1)
    params = model.init(jax.random.key(0), 64, language.context_length)
    tokens, teacher = (np.asarray(part) for part in held_out(model, language, sample))
    tokens, target = tokens.reshape(40, *tokens.shape[2:]), teacher.argmax(-1).reshape(40, -1)
    text = words(characters())
    if isinstance(model, MLP):
        passages = [
            words(unit[:, 0]) + words(unit[-1, 1:]) + ALPHABET[last]
            for unit, last in zip(tokens, target[:, -1], strict=True)
        ]
        logits = model.logits(params, tokens.reshape(-1, 6))
    else:
        passages = [words(unit) + ALPHABET[last] for unit, last in zip(tokens, target[:, -1], strict=True)]
        logits = model.logits(params, tokens)[:, 8:]
    for passage in passages:  # the book repeats itself: one of the places where it stands must be held out
        found = np.array([match.start() for match in re.finditer(re.escape(passage), text)])
        assert any(inside(place, len(passage), held=True) for place in found[:, None])
    assert len(set(passages)) == 40
    log_p = np.asarray(jax.nn.log_softmax(logits), np.float64).reshape(-1, 64)
    (look,) = damage(model, params, language, (), sample=sample)
    assert look.loss == pytest.approx(-log_p[np.arange(target.size), target.ravel()].mean(), rel=1e-6)
    assert math.isnan(look.gap)


@pytest.mark.slow
@pytest.mark.parametrize("model", [MLP(8), Transformer(16, layers=1, window=32)], ids=str)
def test_a_model_learns_and_is_damaged_with_a_standard_error(model, tmp_path):
    post = (THREE, Post(recipe=Recipe(weights=THREE), method=GPTQ()))
    run = train(Job(model=model, language=KingJames(), tokens=150_000, post=post, sample=Sample(sequences=128)))
    p = np.bincount(characters(), minlength=64) / len(characters())
    unigram = -np.sum(p[p > 0] * np.log(p[p > 0]))
    assert run.loss < unigram - 0.3
    assert math.isnan(run.entropy)
    _, nearest, gptq = run.evaluations
    assert nearest.delta > 3 * nearest.delta_se > 0
    assert gptq.delta < nearest.delta
    with RunStore(tmp_path / "runs.db") as store:
        store.add(run)
        table = check(store.table())
    assert table["gap"].isna().all()
    with pytest.raises(ValueError, match=r"gap has NaN.*fit the loss"):
        excess(table)


def test_the_same_job_gives_the_same_bits_and_another_seed_another_order():
    jobs = [Job(model=MLP(4), language=KingJames(), tokens=20_000, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (train_model(job).params["head"] for job in jobs)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_job_that_would_read_the_text_again_must_say_so():
    most = KingJames().positions()
    with pytest.raises(ValueError, match=r"read the text 2 times, and passes=1 .*one pass has 3873230 .*passes=2"):
        Job(model=MLP(8), language=KingJames(), tokens=most + 1024)
    job = Job(model=MLP(8), language=KingJames(passes=2), tokens=most + 1024)
    with pytest.raises(ValueError, match="at most 500"):
        Job(model=MLP(8), language=KingJames(), tokens=10**12)
    assert '"passes":2' in job.spec
    with pytest.raises(ValueError, match=r"passages of 8193 .* stretches of 4096"):
        Job(model=Transformer(16, window=8192), language=KingJames(), tokens=10_000)


def test_the_job_of_a_stored_run_can_be_made_again():
    job = Job(model=MLP(2), language=KingJames(passes=3, context=4), tokens=1024)
    look = Evaluation(step=1, loss=1.0, gap=math.nan, delta=0.0, delta_se=0.0)
    run = Run(job=job.key, model="", N=1, D=1, entropy=math.nan, steps=1, evaluations=(look,), spec=job.spec)
    assert job_of(run).key == job.key
    assert job_of(run).language == job.language


def test_its_law_is_not_known():
    assert math.isnan(entropy(KingJames()))
    with pytest.raises(ValueError, match="law of real text is not known"):
        exact(KingJames())


def test_more_held_out_text_than_there_is_is_refused():
    params = MLP(2).init(jax.random.key(0), 64, 6)
    with pytest.raises(ValueError, match="3969 sequences of 64 characters, not 5000"):
        damage(MLP(2), params, KingJames(), (), sample=Sample(sequences=5000))


def test_another_text_in_its_place_is_refused(monkeypatch):
    monkeypatch.setattr(text, "_SHA256", "0" * 64)
    with pytest.raises(ValueError, match="holds another text"):
        text.characters.__wrapped__()


@pytest.mark.parametrize("fields", [{"passes": 0}, {"passes": 501}, {"context": 0}, {"context": 65}, {"passes": 1.5}])
def test_impossible_texts_are_refused(fields):
    (name,) = fields
    with pytest.raises(ValueError, match=f"{name} must be an integer from 1 to"):
        KingJames(**fields)
