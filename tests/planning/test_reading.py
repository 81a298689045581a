"""A plan never saves on an input that its law does not read: such widths are held, refused by name, or asked for."""

from __future__ import annotations

import numpy as np
import pytest

from precsim import laws
from precsim.cli import main
from precsim.laws import WEIGHTS, published
from precsim.planning import Choice, Unread, plan
from precsim.planning.inputs import default_choices, read, schemes

WEIGHTS_ONLY = published.KUMAR_2024.base | laws.Saturating(WEIGHTS, c=2.0, gamma=1.0)


def test_a_law_without_bits_does_not_recommend_three():
    """`plan(EPOCH_2024)` recommended W3A3KV3: the law reads no bits, so they were free."""
    found = plan(published.EPOCH_2024, compute=1e22)
    assert found.choice == Choice()
    assert found.held == ("weights", "activations", "kv")
    N, _ = published.EPOCH_2024.optimum(1e22)
    assert found.N == pytest.approx(N, rel=1e-6)


@pytest.mark.parametrize("entry", published.CATALOG, ids=lambda e: e.name)
def test_no_published_law_gives_a_width_away(entry):
    """Every option of every published law either reads a tensor's width or leaves it at 16 bits."""
    if entry.law.base is None:
        with pytest.raises(ValueError, match="predicts an added loss only"):
            plan(entry.law, compute=1e22)
        return
    found = plan(entry.law, compute=1e22)
    for option in found.options:
        narrow = {name for name in ("weights", "activations", "kv") if option.choice.bits[name] < 16}
        assert narrow <= read(entry.law)
    assert set(found.held) == {"weights", "activations", "kv"} - read(entry.law)
    assert not found.unseen


def test_a_law_of_schemes_takes_a_scheme():
    """`plan --law quest-2025` recommended W3A3KV3 with 0.02 tokens per parameter: without scheme= its factor is 1."""
    law = published.QUEST_2025
    with pytest.raises(ValueError, match="give one of W1A1, W2A2"):
        plan(law, compute=1e22, choices=[Choice(3, 3)])
    with pytest.raises(ValueError, match="scheme W4A4 has other bits than W3A3KV16"):
        plan(law, compute=1e22, choices=[Choice(3, 3, context={"scheme": "W4A4"})])
    with pytest.raises(ValueError, match="give one of W1A1"):
        plan(law, compute=1e22, choices=[Choice(3, 3, context={"scheme": "W9A9"})])
    with pytest.raises(ValueError, match="does not read kv"):
        plan(law, compute=1e22, choices=[Choice(4, 4, 4, context={"scheme": "W4A4"})])
    found = plan(law, compute=1e22, choices=[Choice(4, 4, context={"scheme": "W4A4"}), Choice()])
    option = found.options[0]
    f = law.parameters["f_W4A4"]
    base = law.base
    assert option.loss == pytest.approx(base(option.N * f, option.D), rel=1e-12)
    assert option.D == pytest.approx(1e22 / (6 * option.N * 0.25), rel=1e-9)


def test_schemes_whose_names_say_their_bits_are_the_default():
    labels = [choice.label for choice in default_choices(published.QUEST_2025, (4, 8))]
    assert labels[:4] == ["W1A1KV16 W1A1", "W2A2KV16 W2A2", "W3A3KV16 W3A3", "W4A4KV16 W4A4"]
    assert labels[-1] == "W16A16KV16"
    assert not any("FP4" in label for label in labels)  # a name that says no bits is nobody's guess
    assert schemes(published.QUARTET_2025)[:3] == ("SR", "RTN", "QuEST")


def test_a_law_without_a_base_is_refused():
    """`plan(FRANTAR_2025)` returned one parameter and a loss of 0."""
    for law in (published.FRANTAR_2025, published.OUYANG_2024):
        with pytest.raises(ValueError, match="a plan needs a law with a base"):
            plan(law, compute=1e22)


def test_a_narrow_tensor_that_no_factor_reads_is_refused_by_name():
    with pytest.raises(ValueError, match="does not read activations and kv: 4 bits of activations, 4 bits of kv would"):
        plan(WEIGHTS_ONLY, compute=1e22, choices=[Choice.tied(4)])
    with pytest.raises(ValueError, match="does not read the bits after training: 3 would cost nothing"):
        plan(WEIGHTS_ONLY, compute=1e22, choices=[Choice(post=3)])
    with pytest.raises(ValueError, match="does not read group"):
        plan(WEIGHTS_ONLY, compute=1e22, choices=[Choice(4, context={"group": 128})])


def test_a_user_may_say_that_unread_widths_are_free():
    found = plan(WEIGHTS_ONLY, compute=1e22, choices=[Choice.tied(4)], unread=Unread.FREE)
    assert found.unseen == ("activations", "kv")
    assert found.held == ()
    assert found.D == pytest.approx(1e22 / (6 * found.N * 0.25), rel=1e-9)
    held = plan(WEIGHTS_ONLY, compute=1e22)
    assert {o.choice.label for o in held.options} >= {"W4A16KV16", "W16A16KV16"}
    assert held.choice.bits["weights"] == 16  # a narrow weight beside a wide activation saves no product


def test_a_form_for_four_bits_prices_no_other_width():
    with pytest.raises(ValueError, match="knows 4 bits only"):
        plan(published.CHEN_2025_W4A4, compute=1e22, choices=[Choice.tied(3)])
    four = Choice(4, 4, 4, context={"group": 128})
    found = plan(published.CHEN_2025_W4A4, compute=1e22, choices=[four, Choice()])
    assert [o.choice for o in found.options] == [four, Choice()]


def test_a_float_is_named_by_its_fields():
    e4m3 = {"exponent_bits": 4, "significand_bits": 3, "block": 128}
    found = plan(published.SUN_2025, compute=1e22, choices=[Choice(8, 8, context=e4m3), Choice()])
    assert len(found.options) == 2
    with pytest.raises(ValueError, match="reads exponent_bits="):
        plan(published.SUN_2025, compute=1e22, choices=[Choice(8, 8)])
    with pytest.raises(ValueError, match="has 8 bits"):
        plan(published.SUN_2025, compute=1e22, choices=[Choice(4, 4, context=e4m3)])


def test_no_law_reads_an_unknown_input():
    with pytest.raises(ValueError, match=r"no law reads \['moon'\]"):
        Choice(context={"moon": 1})


# -- served as trained -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [published.KUMAR_2024, published.OUYANG_2024_LOSS], ids=lambda law: law.label)
def test_served_as_trained_costs_nothing_twice(law):
    """`delta(weights=4, post=4)` was 0.072: weights that lie on a grid are not moved by rounding to it."""
    trained, served = {"activations": 4, "kv": 4}, law.delta(8e9, 1e12, weights=4, post=3)
    assert law.delta(8e9, 1e12, weights=4, post=4, **trained) == 0
    assert law.delta(8e9, 1e12, weights=4, post=6, **trained) == 0
    assert served > 0
    many = law.delta(8e9, 1e12, weights=np.array([4, 4, np.inf]), post=np.array([4, 3, 4]))
    assert many[0] == 0
    assert many[1] == pytest.approx(served)
    assert many[2] == pytest.approx(law.delta(8e9, 1e12, post=4))


def test_a_plan_ranks_served_as_trained_beside_trained():
    """`plan` ranked W4A4KV4>4 behind W4A4KV4."""
    found = plan(
        published.KUMAR_2024, compute=1e23, choices=[Choice.tied(4), Choice.tied(4, post=4), Choice.tied(4, 8)]
    )
    assert len({o.loss for o in found.options}) == 1
    assert [o.regret for o in found.options] == [0, 0, 0]


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_holds_common_widths_and_takes_schemes(capsys):
    assert main(["plan", "--law", "kumar-2024-floating-point", "--compute", "1e21", "--bits", "4,8"]) == 0
    out = capsys.readouterr().out
    assert "W4A16KV16" in out
    assert "bits of kv: held at 16" in out
    assert main(["plan", "--law", "quest-2025", "--compute", "1e21", "--choice", "4,4,full,scheme=W4A4"]) == 0
    assert "W4A4KV16 W4A4" in capsys.readouterr().out
    assert main(["plan", "--law", "kumar-2024-floating-point", "--compute", "1e21", "--choice", "4,4,4"]) == 2
    assert "would cost nothing" in capsys.readouterr().err
    words = ["plan", "--law", "kumar-2024-floating-point", "--compute", "1e21", "--choice", "4,4,4", "--free-unread"]
    assert main(words) == 0
    assert "what they cost is not in this plan" in capsys.readouterr().out
    assert main(["plan", "--compute", "1e21", "--choice", "4,4,full,group=x"]) == 2
    assert "group= takes a number" in capsys.readouterr().err
