"""Models: parameter counts, an independent forward pass, causality, and every quantization point."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from precsim.models import EXACT, FIRST_EDITION, MLP, Block, Feed, Kind, Norm, Points, Transformer
from precsim.models.points import chain, map_weights

KEY = jax.random.key(0)
MODELS = [MLP(8), MLP(5, layers=3), Transformer(32), Transformer(16, layers=1, head_width=8)]
MODELS += [Transformer(32, layers=1, head_width=8, feed=Feed.SWIGLU, kv_heads=2)]


@functools.cache
def start(model):
    return jax.jit(model.init, static_argnums=(1, 2))(KEY, 64, 2)


def logits(model, params, tokens, points=EXACT):
    """One compiled program instead of a hundred small ones."""
    return jax.jit(lambda params, tokens: model.logits(params, tokens, points))(params, tokens)


def tokens_for(model, count=3):
    length = 2 if isinstance(model, MLP) else 20
    return jax.random.randint(jax.random.key(1), (count, length), 0, 64)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_parameters_counts_the_matrices_of_the_blocks(model):
    params = start(model)
    assert sum(leaf.size for leaf in jax.tree.leaves(params["blocks"]) if leaf.ndim > 1) == model.parameters


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_every_site_is_visited_once_and_no_other(model):
    seen = {kind: [] for kind in Kind}

    def note(kind):
        def visit(name, x):
            seen[kind].append(name)
            return x

        return visit

    def multiply(name, x, weight):
        seen[Kind.ACCUMULATOR].append(name)
        return x @ weight

    visits = [note(kind) for kind in (Kind.WEIGHTS, Kind.ACTIVATIONS, Kind.KV, Kind.GRADIENTS)]
    points = Points(*visits, multiply=multiply)
    jax.eval_shape(lambda params, tokens: model.logits(params, tokens, points), start(model), tokens_for(model))
    map_weights(start(model), note(Kind.MASTER))
    for kind in Kind:
        assert sorted(seen[kind]) == sorted(model.sites[kind])


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_rounding_weights_on_their_way_equals_rounding_them_before(model):
    params, tokens = start(model), tokens_for(model)

    def coarse(name, w):
        return jnp.round(w * 8) / 8 if name != "embedding" else w

    before = logits(model, jax.jit(lambda params: map_weights(params, coarse))(params), tokens)
    passing = logits(model, params, tokens, EXACT._replace(weights=coarse))
    np.testing.assert_allclose(passing, before, rtol=1e-6, atol=1e-7)
    assert np.abs(before - logits(model, params, tokens)).max() > 1e-3


def test_chain_rounds_by_the_first_and_then_the_second():
    double = Points(*[lambda name, x: 2 * x] * 4)
    more = Points(*[lambda name, x: x + 1] * 4)
    assert chain(double, more).kv("", 3) == 7


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def norm(x):
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6)


def test_mlp_against_a_numpy_forward_pass():
    model = MLP(8)
    params, tokens = start(model), np.asarray(tokens_for(model))
    w = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    h = w["embedding"][0][tokens[:, 0]] + w["embedding"][1][tokens[:, 1]]
    for block in w["blocks"]:
        h = h + gelu(norm(h) @ block["up"]) @ block["down"]
    np.testing.assert_allclose(logits(model, params, tokens), norm(h) @ w["head"], rtol=2e-5, atol=2e-6)


PLAIN = {"head_width": 8, "block": FIRST_EDITION}
GAINED = Transformer(32, layers=1, head_width=8, block=Block(norm=Norm.LAYER, query_key_norm=True))


@pytest.mark.parametrize(
    "model", [Transformer(32, **PLAIN), Transformer(32, layers=1, **PLAIN, feed=Feed.SWIGLU, kv_heads=2), GAINED]
)
def test_transformer_against_a_numpy_forward_pass_token_by_token(model):
    params, tokens = start(model), np.asarray(tokens_for(model))
    keys = iter(jax.random.split(KEY, 99))  # gains are all 1 at the start: other ones, so that a lost one is seen
    params = jax.tree.map(lambda w: w if w.ndim > 1 else w + 0.3 * jax.random.normal(next(keys), w.shape), params)
    w = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)

    def norm(x, gain=1.0):
        centred = x - x.mean(-1, keepdims=True) if model.block.norm is Norm.LAYER else x
        return centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-6) * gain

    def sized(x, gain):
        return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6) * gain if model.block.query_key_norm else x

    def turn(x, position):  # rotary embedding as complex numbers
        z = (x[..., :4] + 1j * x[..., 4:]) * np.exp(1j * position * 10_000.0 ** (-np.arange(4) / 4))
        return np.concatenate([z.real, z.imag], axis=-1)

    def inner(x, block):
        if model.feed is Feed.GELU:
            return gelu(x @ block["up"])
        return (x @ block["gate"]) * expit(x @ block["gate"]) * (x @ block["up"])

    for text, result in zip(tokens, np.asarray(logits(model, params, tokens)), strict=True):
        h = w["embedding"][text]
        for block in w["blocks"]:
            x, new = norm(h, block.get("attention_gain", 1.0)), h.copy()
            q, k, v = ((x @ block[part]).reshape(len(text), -1, 8) for part in ("query", "key", "value"))
            q, k = sized(q, block.get("query_gain")), sized(k, block.get("key_gain"))
            k, v = (np.stack([kept[:, n * kept.shape[1] // 4] for n in range(4)], axis=1) for kept in (k, v))
            for t in range(len(text)):
                heads = []
                for head in range(4):
                    scores = [turn(q[t, head], t) @ turn(k[s, head], s) / np.sqrt(8) for s in range(t + 1)]
                    heads.append(np.exp(log_softmax(scores)) @ v[: t + 1, head])
                new[t] += np.concatenate(heads) @ block["out"]
            h = new + inner(norm(new, block.get("feed_gain", 1.0)), block) @ block["down"]
        np.testing.assert_allclose(result, norm(h, w.get("head_gain", 1.0)) @ w["head"], rtol=1e-4, atol=1e-5)


def test_transformer_sees_no_future():
    model = Transformer(32)
    params, tokens = start(model), tokens_for(model)
    changed = tokens.at[:, 12:].set(0)
    a, b = logits(model, params, tokens), logits(model, params, changed)
    assert np.array_equal(a[:, :12], b[:, :12])
    assert not np.array_equal(a[:, 12:], b[:, 12:])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MLP(0), "at least 1.*0"),
        (lambda: MLP(4, layers=0), "at least 1"),
        (lambda: Transformer(30), "30.*multiple.*16"),
        (lambda: Transformer(16, head_width=3), "even.*3"),
        (lambda: Transformer(16, window=0), "window"),
        (lambda: Transformer(64, kv_heads=3), "divide the 4 heads, not 3"),
        (lambda: Transformer(64, feed="gelu"), "Feed.GELU.*'gelu'"),
        (lambda: Transformer(64, block=Norm.RMS), "Block.*Norm.RMS"),
        (lambda: Block(embedding=-1.0), "positive.*-1.0"),
    ],
)
def test_impossible_models_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
