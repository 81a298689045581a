"""The explorer's script in a browser: on random settings it shows what the package computes, intervals included."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from support import browsing, widgets
from support.places import ROOT

import precsim as ps
from precsim import laws
from precsim.evidence import offers
from precsim.fitting import Draws, interval
from precsim.laws.published import KUMAR_2024, KUMAR_2024_MAIN_TEXT
from precsim.view.laws.explorer import Explored, explore
from precsim.view.widget import script

RANGES = {"N": (3e7, 2.2e8), "D": (1.5e9, 2.6e10)}
TWO_FORMS = (
    laws.OuterExponent(E=1.3, A=1.5e5, B=5.25e5, alpha=0.589, beta=0.544, g=0.274)
    | laws.Saturating(laws.WEIGHTS, c=6.0, gamma=1.3)
    | laws.Saturating(laws.ACTIVATIONS, c=9.0, gamma=1.1, on=laws.Effective.D)
    | laws.SecondOrderDegradation(K=3e-3, gamma_D=0.4, gamma_N=0.3)
)
DRIFTING = laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37) | laws.Drifting(
    laws.Saturating(laws.WEIGHTS, c=6.0, gamma=1.3), drift_D=0.1, drift_N=0.2
)


def spread(law: laws.Law, n: int = 60) -> Draws:
    """Draws of every parameter around a law, 2 % wide."""
    rng = np.random.default_rng(7)
    return Draws(law, {k: v * np.exp(0.02 * rng.standard_normal(n)) for k, v in law.parameters.items()})


OFFERED = (
    Explored("Kumar 2024", KUMAR_2024, **RANGES, note="printed constants", draws=spread(KUMAR_2024)),
    Explored("main text", KUMAR_2024_MAIN_TEXT, **RANGES, note="printed form"),
    Explored("two placements", TWO_FORMS, **RANGES, note="", draws=spread(TWO_FORMS), level=0.8),
    Explored("drift", DRIFTING, **RANGES, note="", draws=spread(DRIFTING)),
)


def expected(offered: Explored, s: dict[str, float]) -> dict[str, list[float]]:
    """Value, low and high of everything the table shows, from the Python interface."""
    N, D, post = s["N"], s["D"], s["post"]
    bits = {name: s[name] for name in ("weights", "activations", "kv")}
    read = {
        "loss": lambda law: law(N, D, **bits, post=post),
        "n_eff": lambda law: law.n_eff(N, D, **bits),
        "share": lambda law: law.n_eff(N, D, **bits) / N,
        "delta": lambda law: law.delta(N, D, **bits, post=post),
    }
    if offered.law.degradations and math.isfinite(post):
        read["critical"] = lambda law: laws.critical_tokens(law, N, post, **bits)
    if offered.name not in {"drift", "two placements"}:
        read["best"] = lambda law: law.best_bits()
    found = {}
    for name, fn in read.items():
        with np.errstate(all="ignore"):
            value = float(fn(offered.law))
            ends = [math.nan, math.nan]
            if offered.draws is not None:
                try:
                    band = interval(offered.draws, fn, offered.level)
                    ends = [band.low, band.high]
                except ValueError:  # no prediction in some draw
                    pass
        found[name] = [value, *ends]
    if math.isnan(found["loss"][0]) and "critical" in found:
        found["critical"][0] = math.nan  # where a factor is not positive there is no turn either
    return found


@pytest.fixture(scope="module")
def chromium():
    if browsing.CHROMIUM is None:
        pytest.skip("issue 6: no Chromium on this machine")
    with browsing.browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(chromium):
    page = chromium.new_page(viewport={"width": 1000, "height": 900})
    problems: list[str] = []
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.set_content("<main></main>")
    page.add_script_tag(content=script("explorer").replace("export default", "window.explorer ="))
    page.evaluate(
        "state => explorer.render({ model: { get: (name) => state[name] }, el: document.querySelector('main') })",
        json.loads(json.dumps(explore(*OFFERED).state)),
    )
    yield page
    assert problems == []


def shown(page, law: Explored, s: dict[str, float]) -> dict[str, list[float]]:
    """What the table says after the fields were filled; what the law does not read is full precision."""
    texts = {name: "full" if math.isinf(value) else repr(value) for name, value in s.items()}
    unread, found = page.evaluate(
        """([law, texts]) => {
          const root = document.querySelector('.ps-explorer');
          const pick = root.querySelector('select[name=law]');
          if (pick.value !== law) { pick.value = law; pick.dispatchEvent(new Event('change')); }
          for (const [name, text] of Object.entries(texts)) {
            const input = root.querySelector(`input[name=${name}]`);
            input.value = text;
            input.dispatchEvent(new Event('change'));
          }
          const rows = [...root.querySelectorAll('tr[data-quantity]')];
          const said = rows.map(({ dataset: d }) => [d.quantity, [d.value, d.low, d.high]]);
          const unread = [...root.querySelectorAll('input[type=text]:disabled')].map((i) => i.name);
          return [unread, Object.fromEntries(said)];
        }""",
        [law.slug, texts],
    )
    s.update(dict.fromkeys(unread, math.inf))
    return {name: [float(x.replace("Infinity", "inf")) for x in row] for name, row in found.items()}


@pytest.mark.browser
@pytest.mark.parametrize("law", range(len(OFFERED)), ids=[o.name for o in OFFERED])
def test_fifty_random_settings_are_those_of_the_package(page, law):
    rng = np.random.default_rng(100 + law)
    worst = 0.0
    for _ in range(50):
        s = {"N": float(10 ** rng.uniform(6, 11)), "D": float(10 ** rng.uniform(8, 13))}
        s |= {name: float(rng.choice(np.append(np.arange(2.5, 16.5, 0.5), np.inf))) for name in ("weights", "kv")}
        s |= {"activations": float(rng.choice([4.0, 5.5, 8.0, 16.0, np.inf]))}
        s |= {"post": float(rng.choice([2.5, 3.0, 4.0, 6.0, 8.0, np.inf]))}
        page_says = shown(page, OFFERED[law], s)
        for name, values in expected(OFFERED[law], s).items():
            for got, true in zip(page_says[name], values, strict=True):
                assert math.isnan(got) == math.isnan(true), (name, s, got, true)
                if not math.isnan(true) and got != true:
                    worst = max(worst, abs(got - true) / max(abs(true), 1e-12))
    assert worst < 1e-8  # the searches for P* and critical tokens end at the rounding of their slopes


@pytest.mark.browser
def test_it_says_when_a_law_has_no_prediction_and_when_it_extrapolates(page):
    s = {"N": 1e8, "D": 1e10, "weights": 8.0, "activations": 3.0, "kv": 8.0, "post": math.inf}
    assert math.isnan(shown(page, OFFERED[0], s)["loss"][0])
    assert "no prediction here" in page.locator(".status").inner_text()
    shown(page, OFFERED[0], {**s, "N": 1e10, "activations": 8.0})
    assert "N beyond the runs" in page.locator(".status").inner_text()
    assert page.locator("svg path.line").count() >= 2


@pytest.mark.browser
def test_a_change_of_law_keeps_the_setting_and_grays_what_is_not_read(page):
    setting = {"N": 8e9, "D": 15e12, "weights": math.inf, "activations": 6.0, "kv": 8.0, "post": 4.0}
    shown(page, OFFERED[0], dict(setting))
    page.locator("select[name=law]").select_option(OFFERED[3].slug)
    assert page.locator("input[name=N]").input_value() == "8000000000.0"
    assert page.locator("input[name=activations]").is_disabled()
    page.locator("select[name=law]").select_option(OFFERED[0].slug)
    assert page.locator("input[name=activations]").is_enabled()
    assert page.locator("input[name=activations]").input_value() == "6.0"
    said = page.locator("input[name=slide_N]").get_attribute("aria-valuetext")
    assert said == "8 billion parameters, 36.4 times the largest of the runs"
    assert page.locator("svg rect.none").count() >= 1
    assert page.locator("tr[data-quantity=loss] .interval").inner_text() == "—"


@pytest.mark.browser
def test_text_that_is_no_number_stays_and_is_marked_and_sliders_write_it(page):
    page.locator("input[name=N]").fill("8m")
    page.locator("input[name=N]").press("Enter")
    assert page.locator("input[name=N]").get_attribute("aria-invalid") == "true"
    assert page.locator(".ps-explorer.stale").count() == 1
    page.locator("input[name=slide_N]").press("Home")
    assert page.locator("input[name=N]").input_value() == "10k"
    page.locator("input[name=slide_N]").press("PageUp")
    assert page.locator("input[name=N]").input_value() == "100k"
    assert page.locator(".ps-explorer.stale").count() == 0
    for name in ("Llama 3 405B, served at 4 bits", "The network of the home page"):
        page.locator("select[name=setting]").select_option(label=name)
        assert page.locator("[aria-invalid]").count() == 0
    page.get_by_role("button", name="Into the runs").click()
    assert "Within the runs" in page.locator(".status").inner_text()


@pytest.mark.browser
@pytest.mark.parametrize("width", [*(pytest.param(w, marks=pytest.mark.slow) for w in (1280, 768)), 390])
def test_it_fits_its_window_and_axe_finds_nothing_in_both_themes(chromium, tmp_path, width):
    widgets.write(tmp_path, explore(*OFFERED))
    with browsing.serve(tmp_path) as address:
        for link in ("", "#v=1&N=8B&D=15T", "#v=1&law=drift&N=x", "#v=1&activations=3"):
            page = chromium.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
            log = browsing.Log(address)
            log.watch(page)
            page.goto(f"{address}/index.html{link}")
            page.wait_for_function("() => document.querySelector('.ps-explorer')?.dataset.settled === 'yes'")
            assert widgets.faults(page, width) == {}, link
            assert (log.outside, log.messages, log.missing) == ([], [], [])
            page.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Explored("a", laws.Chinchilla(), **RANGES, note=""), "have no value yet"),
        (lambda: Explored("a", laws.published.OUYANG_2024, **RANGES, note=""), "needs a law with a base"),
        (lambda: Explored("a", KUMAR_2024, (2.0, 1.0), (1.0, 2.0), ""), "N must be"),
        (lambda: Explored("a", KUMAR_2024, **RANGES, note="", level=95), "level must be"),
        (lambda: Explored("a", laws.published.CHEN_2025_W4A4, **RANGES, note=""), "more than the bits after training"),
        (lambda: explore(OFFERED[0], OFFERED[0]), "distinct names"),
        (explore, "one or more laws"),
        (
            lambda: Explored("a", KUMAR_2024.base | laws.Saturating(laws.TIED, 1.0, 1.0), **RANGES, note=""),
            "does not read the bits of one of",
        ),
    ],
)
def test_what_the_sliders_cannot_serve_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_state_is_plain_json_and_the_static_view_names_the_laws():
    bundle = ps.view.explore(*OFFERED)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    page = data["application/vnd.precsim.widget+json"]
    assert json.loads(json.dumps(page["state"])) == page["state"]
    assert page["static"].startswith("Explorer of 4 laws: Kumar 2024, main text")


HTML = ROOT / "_build" / "html"


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.skipif(not (HTML / "explorer.html").exists(), reason="the book is not built: make book")
def test_the_page_of_the_book_answers_as_the_package_without_a_network(chromium):
    with browsing.serve(HTML) as address:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        log = browsing.Log(address)
        log.watch(page)
        page.goto(f"{address}/explorer.html")
        browsing.settle(page)
        s = {"N": 8e9, "D": 15e12, "weights": math.inf, "activations": math.inf, "kv": math.inf, "post": 4.0}
        said = shown(page, Explored(**offers.kumar()), s)
        assert said["loss"][0] == pytest.approx(float(KUMAR_2024(s["N"], s["D"], post=4)), rel=1e-9)
        assert said["critical"][0] == pytest.approx(float(laws.critical_tokens(KUMAR_2024, s["N"], 4)), rel=1e-9)
        assert said["best"][0] == pytest.approx(7.0021, abs=1e-4)
        assert said["critical"][1] < said["critical"][0] < said["critical"][2]
        assert "beyond the runs" in page.locator(".ps-explorer .status").inner_text()
        again = chromium.new_page()
        again.goto(page.url)  # the address carries the setting
        browsing.settle(again)
        assert again.locator(".ps-explorer .status").inner_text() == page.locator(".ps-explorer .status").inner_text()
        assert log.outside == []
        assert log.messages == []
