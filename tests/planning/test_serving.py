"""Serving: memory and speed against hand calculation, named models at the widths of the paper, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from precsim import laws
from precsim.cli import main
from precsim.evidence.paper import statements
from precsim.laws import published
from precsim.planning import A100, H100, H200, Binding, Choice, cheapest, plan
from precsim.planning.serving import LLAMA3_8B, LLAMA3_70B, MODELS, kv_bytes, tokens_per_second

LAW = published.KUMAR_2024


def test_memory_of_a_served_model_by_hand():
    assert LLAMA3_70B.weight_bytes(Choice()) == 70.6e9 * 2
    assert LLAMA3_70B.weight_bytes(Choice.tied(8, post=4)) == 70.6e9 / 2
    per_token = 2 * 80 * 8 * 128 * 2  # keys and values, layers, heads, size, two bytes
    assert kv_bytes(LLAMA3_70B, Choice(), 1000) == 1000 * per_token
    assert kv_bytes(LLAMA3_70B, Choice(kv=4), 1000) == 1000 * per_token / 4


def test_one_sequence_is_bound_by_reading_and_many_by_computing():
    one = tokens_per_second(LLAMA3_8B, H100, Choice(), sequences=1, context=1)
    assert one == pytest.approx(H100.bandwidth / (2 * 8.03e9), rel=1e-3)
    many = tokens_per_second(LLAMA3_8B, H100, Choice(), sequences=4096, context=1)
    assert many == pytest.approx(H100.peak[16] / (2 * 8.03e9))
    assert tokens_per_second(LLAMA3_70B, A100, Choice(), sequences=1, context=1) == 0.0  # 141 GB do not fit
    assert tokens_per_second(LLAMA3_70B, A100, Choice(), sequences=1, context=1, devices=2) > 0


@pytest.mark.parametrize("context", [100, 1e4, 1e5])
def test_a_narrow_cache_helps_where_the_cache_is_what_is_read(context):
    speed = {kv: tokens_per_second(LLAMA3_8B, H200, Choice(kv=kv), sequences=8, context=context) for kv in (16, 4)}
    share = kv_bytes(LLAMA3_8B, Choice(), 8 * context) / LLAMA3_8B.weight_bytes(Choice())
    assert speed[4] / speed[16] == pytest.approx((1 + share) / (1 + share / 4))


def test_the_cache_takes_memory_from_the_weights():
    cache = kv_bytes(LLAMA3_8B, Choice(), 1e5)
    wide = plan(LAW, compute=1e25, memory=80e9, kv_bytes=cache, choices=[Choice.tied(8)])
    assert wide.N == pytest.approx((80e9 - cache / 2) * 8 / 8, rel=1e-9)
    assert wide.binding is Binding.PARAMETERS
    none = plan(LAW, compute=1e25, memory=80e9, choices=[Choice.tied(8)])
    assert none.N > wide.N


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": 1e9, "kv_bytes": 3e9, "choices": [Choice.tied(8)]}, "a cache of 1.5e"),
        ({"smallest": 1e12, "choices": [Choice.tied(8)]}, "the smallest model of 1e"),
        ({"memory": 1e6, "smallest": 1e9, "choices": [Choice.tied(8)]}, "need more than"),
        ({"kv_bytes": -1.0}, "kv_bytes must be"),
        ({"smallest": 0.0}, "smallest must be"),
    ],
)
def test_what_does_not_fit_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        plan(LAW, compute=1e12, **options)


@pytest.mark.parametrize("name", ["sequences", "context", "devices"])
def test_numbers_of_a_server_are_positive(name):
    options = {"sequences": 1, "context": 1, "devices": 1} | {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be positive"):
        tokens_per_second(LLAMA3_8B, H100, Choice(), **options)


@pytest.mark.parametrize(("name", "bits"), [("llama3-8b", 13.5), ("llama3-70b", 10.5), ("llama3-405b", 8.2)])
def test_named_models_at_their_tokens_have_the_best_widths_of_the_paper(name, bits):
    model = MODELS[name]
    found = statements.fixed_best_bits(LAW, model.N, 15e12)
    assert found == pytest.approx(bits, abs=0.11)


def test_the_served_case_of_sardana_and_the_case_of_a_small_data_set():
    """13B quality and 2T served tokens: 7B and 17 %; with 1e11 tokens of data the budget goes into parameters."""
    law = published.SARDANA_2024
    N, D = 13e9, 13e9 ** (law.alpha / law.beta) * (law.optimum(6.0)[1] / law.optimum(6.0)[0] ** (law.alpha / law.beta))
    small, _, flops = cheapest(law, loss=law(N, D), served_tokens=2e12)
    assert small == pytest.approx(6.97e9, rel=1e-3)
    assert 1 - flops / (6 * N * D + 2 * N * 2e12) == pytest.approx(0.174, abs=1e-3)
    scarce, free = (plan(LAW, compute=1e23, max_tokens=m, choices=[Choice.tied(8)]) for m in (1e11, np.inf))
    assert scarce.binding is Binding.TOKENS
    assert scarce.D == pytest.approx(1e11)
    assert scarce.N < 1e23 / (6 * 1e11 * 0.5) * 1.001
    assert scarce.loss > free.loss


def test_a_model_by_name_on_the_command_line(capsys):
    words = ["plan", "--compute", "7e23", "--model", "llama3-8b", "--bits", "8,12,16"]
    assert main(words) == 0
    assert "W12A12KV12" in capsys.readouterr().out
    assert main([*words, "--parameters", "1e9"]) == 2
    assert "give one of them" in capsys.readouterr().err
    assert main(["plan", "--compute", "7e23", "--model", "gpt"]) == 2
    assert "llama3-8b" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[]", "{}", "3", '["a"]', '[{"kind": "Nothing"}]'])
def test_a_text_that_is_no_law_is_refused(text):
    with pytest.raises(ValueError, match=r"a list of one or more parts|no part of a law"):
        laws.Law.from_json(text)
