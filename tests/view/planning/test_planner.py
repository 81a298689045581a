"""The planner's page: it plans as the package does, its programs run, its links lead back, and it can be operated."""

from __future__ import annotations

import contextlib
import io
import math
import re

import numpy as np
import pytest
from support import browsing, widgets

import precsim as ps
from precsim.evidence import offers
from precsim.fitting import Draws
from precsim.laws.published import KUMAR_2024
from precsim.planning import HARDWARE, Choice
from precsim.planning.serving import MODELS, kv_bytes
from precsim.view import Explored, planner
from precsim.view.widget import script

OFFERED = [Explored(**law) for law in offers.planned()]
STATE = planner(*OFFERED).state
WIDTHS = (3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0)
KINDS = {"memory": "need more than", "compute": "FLOP (are less|leave no token)", "no prediction": "no prediction"}
READY = "() => document.querySelector('.ps-planner')?.dataset.settled === 'yes'"


@pytest.fixture(scope="module")
def chromium():
    if not browsing.CHROMIUM:
        pytest.skip("issue 6: no Chromium on this machine")
    with browsing.browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def logic(chromium):
    """A page with what the planner computes and none of what it draws."""
    page = chromium.new_page()
    page.add_script_tag(content=script("answer").replace("\nexport ", "\n"))
    page.evaluate("data => { window.data = data; }", STATE["data"])
    return page


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The widget alone, served under the book's policy."""
    folder = tmp_path_factory.mktemp("planner")
    widgets.write(folder, planner(*OFFERED))
    with browsing.serve(folder) as url:
        yield url


@pytest.fixture
def visit(address, chromium):
    """Open the widget; afterwards it must have been silent and asked nobody else."""
    logs, windows = [], []

    def visit(link: str = "", *, width: int = 1280):
        window = chromium.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        windows.append(window)
        page = window.new_page()
        logs.append(log := browsing.Log(address))
        log.watch(page)
        page.goto(f"{address}/index.html{link}")
        page.wait_for_function(READY, timeout=60_000)
        return page

    yield visit
    for window in windows:
        window.close()
    for log in logs:
        assert (log.outside, log.messages, log.missing) == ([], [], [])


def enter(page, **fields: str) -> None:
    """Type into fields as a person does, and wait for the answer."""
    for name, text in fields.items():
        page.locator(f"[name={name}]").fill(text)
        page.locator(f"[name={name}]").press("Enter")
    page.wait_for_function(READY, timeout=60_000)


# -- it plans as the package -----------------------------------------------------------------------------------------


def asked(rng: np.random.Generator, law: Explored) -> tuple[dict[str, str], dict]:
    """Random texts of the fields, and by other hands the arguments of `ps.plan` that they mean."""
    slug = rng.choice(list(HARDWARE))
    device, arguments = HARDWARE[slug], {}
    fields = {"law": law.slug, "device": str(slug), "by": str(rng.choice(["flop", "gpus", "dollars"]))}
    paper = rng.random() < 0.3
    fields["price"] = "paper" if paper else "device"
    if fields["by"] == "flop":
        exponent = int(rng.integers(18, 25))
        fields["C"], flops = f"3×10^{exponent} FLOP", float(f"3e{exponent}")
    elif fields["by"] == "gpus":
        count, days = int(rng.integers(1, 5000)), int(rng.integers(1, 60))
        fields |= {"gpus": str(count), "time": f"{days} days", "use": "40 %"}
        flops = count * days * 24 * 3600 * device.rate(16) * 0.4
    else:
        thousands = int(rng.integers(1, 5000))
        fields |= {"dollars": f"${thousands}k", "rate": "$2.50", "use": "40%"}
        flops = thousands * 1000 / 2.5 * 3600 * device.rate(16) * 0.4
    arguments |= {"compute": flops, "hardware": None if paper else device}
    if rng.random() < 0.4:
        fields |= {"size": "fixed", "N": "1.5B"}
        arguments["parameters"] = 1.5e9
    if rng.random() < 0.4:
        fields["D"], arguments["max_tokens"] = "2T", 2e12
    if rng.random() < 0.4:
        fields["served"], arguments["served_tokens"] = "30 billion", 3e10
    if rng.random() < 0.4:
        size = float(rng.choice([1e9, 24e9, 80e9]))
        fields |= {"fit": "yes", "serve": f"{size / 1e9:g} GB", "context": "4k", "sequences": "2"}
        near = min(MODELS.values(), key=lambda m: abs(math.log(m.N / arguments.get("parameters", size))))
        close = abs(math.log(near.N / arguments.get("parameters", size))) < math.log(30)
        arguments |= {"memory": size, "kv_bytes": kv_bytes(near, Choice(), 8000) if close else 0.0}
    post = 4.0 if rng.random() < 0.3 and law.law.degradations else math.inf
    read = {factor.tensor.value for factor in law.law.factors}
    if not read:
        after = [Choice(post=P) for P in WIDTHS[:-1]] if law.law.degradations else []
        arguments["choices"] = [*after, Choice()]
    else:
        arguments["choices"] = [Choice(**dict.fromkeys(read, P), post=post) for P in WIDTHS]
        fields["post"] = "4" if post == 4 else ""
    fields["widths"] = "3-6, 8 12 16"
    return fields, arguments


ASK = """fields => {
  const asked = ask({ ...initial(data), ...fields }, data);
  if (Object.keys(asked.errors).length) return { errors: asked.errors };
  const found = answer(asked);
  const { one, ...best } = found.best ?? {};
  const { binding, reasons } = found;
  return { python: python(asked, found.best), binding, reasons, best: found.best && best.N,
    rows: found.rows.map(({ choice, option, why }) => ({ choice, why, ...option })) };
}"""


def compare(found: dict, expected: ps.Plan, context: object) -> None:
    """Rows of the page against a plan of the package."""
    theirs = {tuple(o.choice.bits.items()): o for o in expected.options}
    rows = {tuple(row["choice"].items()): row for row in found["rows"] if not row["why"]}
    assert set(rows) == set(theirs), context
    for bits, row in rows.items():
        option = theirs[bits]
        assert row["loss"] == pytest.approx(option.loss, rel=1e-9), context
        assert (row["N"], row["D"]) == (pytest.approx(option.N, rel=3e-6), pytest.approx(option.D, rel=3e-6)), context
        assert row["extra_compute"] == pytest.approx(option.extra_compute, rel=2e-6, abs=1e-6), context
    assert found["binding"] == expected.binding.name.lower(), context


@pytest.mark.browser
@pytest.mark.parametrize("law", OFFERED, ids=[law.slug for law in OFFERED])
def test_random_fields_are_planned_as_the_package_plans_them(logic, law):
    """Thirty for each law, 210 in all."""
    rng, planned, refusals = np.random.default_rng(len(law.name)), 0, 0
    for _ in range(30):
        fields, arguments = asked(rng, law)
        found = logic.evaluate(ASK, fields)
        assert "errors" not in found, (fields, found)
        labels = {tuple(choice.bits.items()): choice.label for choice in arguments["choices"]}
        if found["best"] is None:
            with pytest.raises(ValueError, match="no choice can be planned"):
                ps.plan(law.law, **arguments)
            assert found["reasons"]["text"]
            continue
        expected = ps.plan(law.law, **arguments)
        compare(found, expected, fields)
        planned += len(expected.options)
        for row in (row for row in found["rows"] if row["why"]):
            assert re.search(KINDS[row["why"]["kind"]], expected.refused[labels[tuple(row["choice"].items())]])
            refusals += 1
    assert planned > 20, "the cases must plan"


@pytest.mark.browser
def test_the_copied_program_runs_and_prints_the_numbers_of_the_page(logic):
    rng, ran = np.random.default_rng(11), 0
    while ran < 21:
        fields, _ = asked(rng, OFFERED[ran % len(OFFERED)])
        found = logic.evaluate(ASK, fields)
        if found["best"] is None:
            continue
        said, space = io.StringIO(), {}
        with contextlib.redirect_stdout(said):
            exec(compile(found["python"], "copied", "exec"), space)
        compare(found, space["found"], fields)
        printed, promised = said.getvalue().split(), found["python"].strip().splitlines()[-1].split()[1:]
        assert printed[0] == promised[0], fields
        assert [float(x) for x in printed[1:]] == pytest.approx([float(x) for x in promised[1:]], rel=3e-6)
        ran += 1


@pytest.mark.browser
def test_intervals_on_the_page_are_percentiles_of_the_same_draws(visit):
    page = visit()
    spread = Draws(KUMAR_2024, OFFERED[0].draws.values)
    best = ps.plan(spread, compute=1e21, hardware=HARDWARE["h100"]).best
    low, high = best.loss_interval
    said = page.locator(".verdict .loss").inner_text()
    assert f"expected 95 % interval {low:.4f} to {high:.4f}, if noise of the loss were 0.5 %, of δ 10 %" in said
    assert f"Predicted loss {best.loss:.4f} nats" in said
    assert page.locator(".verdict .line").inner_text() == "Train 4.73B parameters on 70.5B tokens in 8 bits."
    assert page.locator("svg line.bar.assumed").count() >= 5
    assert planner(*OFFERED).text.endswith("in 8 bits: predicted loss 2.9133 nats per token.")
    assert "<table" in planner(*OFFERED)._repr_mimebundle_()[0]["application/vnd.precsim.widget+json"]["static"]


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_what_a_law_does_not_read_is_gray_and_says_why(visit):
    page = visit("#v=1&law=epoch-2024")
    for name in ("widths", "tensors", "post"):
        assert page.locator(f"[name={name}]").is_disabled()
        assert "this law" in page.locator(f"#ps-note-{name}").inner_text()
    assert page.locator("tbody tr").count() == 1


@pytest.mark.browser
def test_a_second_rounding_to_as_many_bits_is_none_and_a_missing_prediction_is_hatched(visit):
    page = visit("#v=1&post=4")
    assert "same bits: no second rounding" in page.locator("tr[data-bits='4']").inner_text()
    assert "no prediction" in page.locator("tr.none").inner_text()
    assert page.locator("svg g[data-bits='3'] rect").get_attribute("fill").startswith("url(#")


@pytest.mark.browser
def test_outside_the_runs_it_warns_then_withholds_then_is_silent(visit):
    page = visit()
    assert "Extrapolation: 21 times the largest model" in page.locator(".badge").inner_text()
    enter(page, C="1e23")
    assert re.search(r"≈ \d\.\d\d nats per token; no interval, 215 times", page.locator(".loss").inner_text())
    assert page.locator("svg line.bar").count() == 0
    enter(page, C="1e25")
    assert page.locator(".line").inner_text().startswith("This law cannot say.")
    assert page.locator("details.fold").get_attribute("open") is None
    assert page.locator(".memories").is_hidden()
    enter(page, C="2e18", D="20B")  # and inside there is no badge
    assert page.locator(".badge").inner_text() == ""


@pytest.mark.browser
def test_bits_between_those_of_runs_are_dotted_and_nothing_that_fits_says_what_would(visit):
    page = visit("#v=1&widths=4,6.5,8")
    assert page.locator("svg circle.dotted").count() == 1
    enter(page, widths="4, 8")
    page.locator("input[name=ps-size][value=fixed]").check()
    page.locator("input[name=ps-fit][value=yes]").check()
    enter(page, N="70B", serve="24 GB", sequences="1", context="8k")
    said = page.locator(".verdict").inner_text()
    assert "Nothing fits. Even at 4 bits" in said
    for change in ("bits or fewer", "2 devices of 24 GB", "parameters or fewer"):
        assert change in said


@pytest.mark.browser
def test_a_field_that_cannot_be_read_keeps_its_text_and_stops_the_answer(visit):
    page = visit()
    enter(page, C="8m")
    field = page.locator("[name=C]")
    assert (field.input_value(), field.get_attribute("aria-invalid")) == ("8m", "true")
    assert "write M" in page.locator("#ps-note-C").inner_text()
    assert page.locator(".answer.stale").count() == 1
    enter(page, C="1e22")
    assert page.locator(".answer.stale").count() == 0
    assert field.get_attribute("aria-invalid") is None


# -- it can be operated ----------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_link_leads_to_the_same_state_and_reset_leads_back(visit):
    page = visit()
    enter(page, C="64 H100 for 14 days")
    enter(page, post="5", D="3T", served="1e12")
    page.get_by_role("button", name="6 → 5", exact=True).click()
    link, said = page.evaluate("location.hash"), page.locator(".verdict").inner_text()
    assert "gpus" in link
    again = visit(f"{link}&frob=1&device=z80")
    assert again.locator(".verdict").inner_text() == said
    assert "frob=1, device=z80" in again.locator(".problem").first.inner_text()
    assert again.locator("tr.pinned").get_attribute("data-bits") == "6 → 5"
    again.get_by_role("button", name="Reset").click()
    again.wait_for_function(READY)
    assert again.evaluate("location.hash") == ""
    assert again.locator("[name=C]").input_value() == "1e21"


@pytest.mark.browser
def test_arrow_keys_multiply_and_examples_fill_every_field(visit):
    page = visit()
    page.locator("[name=C]").press("ArrowUp")
    assert page.locator("[name=C]").input_value() == "1.1e21"
    page.locator("[name=context]").press("Shift+ArrowDown")
    assert page.locator("[name=context]").input_value() == "4k"
    for example in range(len(STATE["data"]["presets"])):
        page.locator("#ps-preset").select_option(str(example))
        page.wait_for_function(READY, timeout=60_000)
        assert page.locator("[aria-invalid]").count() == 0
        assert page.locator(".verdict .line").inner_text()


@pytest.mark.browser
def test_a_keyboard_reaches_every_field_that_is_shown(visit):
    page = visit()
    wanted = page.evaluate(
        "() => [...document.querySelectorAll('.ask :is(input, select), .answer :is(button, summary)')]"
        ".filter((e) => !e.disabled && e.getClientRects().length && (e.type !== 'radio' || e.checked))"
        ".map((e) => e.name || e.id || e.textContent)"
    )
    reached = []
    for _ in range(len(wanted) + 4):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("(({ name, id, textContent }) => name || id || textContent)(document.activeElement)")
        )
    assert set(wanted) <= set(reached)


@pytest.mark.browser
@pytest.mark.parametrize("width", [*(pytest.param(w, marks=pytest.mark.slow) for w in (1280, 768)), 390])
def test_it_fits_its_window_and_axe_finds_nothing_in_both_themes(visit, width):
    for link in ("", "#v=1&size=fixed&N=70B&serve=24 GB&fit=yes", "#v=1&C=1e25", "#v=1&law=epoch-2024&by=gpus&N=x"):
        assert widgets.faults(visit(link, width=width), width) == {}, link


@pytest.mark.parametrize(
    ("given", "message"),
    [((), "one or more laws"), ((OFFERED[0], OFFERED[0]), "distinct names")],
    ids=["none", "twice"],
)
def test_no_law_and_two_of_one_name_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        planner(*given)
