"""Questions that the reader answers first: what is refused, what stands without a script, and the script itself."""

from __future__ import annotations

import pytest
from support import browsing, widgets

from precsim.view import Guess, predict, predict_number

CHOICE = predict(
    "Is 3 a prime, and <even>?",
    {"a prime": True, "even": False, "both": False},
    "Nothing but 1 and 3 divides it.",
)
NUMBER = predict_number(
    "How many spacings?", 100.0, "One bit more halves them.", low=1, high=10_000, unit="nats", log=True
)
PLAIN = predict_number("What is left?", 0.0, "All of it goes.", low=-1, high=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"a": True, "b": True}, "exactly one"), ({"a": False, "b": False}, "exactly one"), ({"a": True}, "at least two")],
)
def test_one_option_is_right(options, words):
    with pytest.raises(ValueError, match=words):
        predict("?", options, "because")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"answer": 5, "low": 0, "high": 1}, "does not hold"),
        ({"answer": float("nan"), "low": 0, "high": 1}, "does not hold"),
        ({"answer": 1, "low": 0, "high": 2, "log": True}, "above zero"),
        ({"answer": 1, "low": 1, "high": float("inf")}, "does not hold"),
    ],
)
def test_a_scale_holds_its_answer(given, words):
    with pytest.raises(ValueError, match=words):
        predict_number("?", because="because", **given)


def test_without_a_script_question_and_answer_stand_and_nothing_is_markup():
    assert "<details><summary>Answer" in CHOICE.static
    assert "&lt;even&gt;" in CHOICE.static
    assert CHOICE.said in CHOICE.text
    assert "100 nats" in NUMBER.static
    with pytest.raises(ValueError, match="needs a question"):
        Guess("", "because", options=("a", "b"))


def test_a_question_has_one_key_whatever_its_answer():
    other = predict("Is 3 a prime, and <even>?", {"a prime": False, "even": True, "both": False}, "Another reason.")
    assert CHOICE.state["key"] == other.state["key"] != NUMBER.state["key"]


# -- in the browser --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium():
    if browsing.CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with browsing.browser() as one:
        yield one


@pytest.fixture
def visit(chromium, tmp_path):
    """Open a question alone; afterwards it must have been silent and asked nobody else."""
    closing = []

    def visit(guess: Guess, width: int = 1280):
        folder = tmp_path / guess.state["key"]
        folder.mkdir(exist_ok=True)
        widgets.write(folder, guess)
        served = browsing.serve(folder)
        address = served.__enter__()
        window = chromium.new_context(viewport={"width": width, "height": 900})
        page = window.new_page()
        log = browsing.Log(address)
        log.watch(page)
        closing.append((served, window, log))
        page.goto(f"{address}/index.html")
        page.wait_for_selector(".ps-predict")
        return page

    yield visit
    for served, window, log in closing:
        window.close()
        served.__exit__(None, None, None)
        assert (log.outside, log.messages, log.missing) == ([], [], [])


@pytest.mark.browser
def test_a_choice_is_locked_in_told_kept_and_asked_again(visit):
    page = visit(CHOICE)
    lock = page.get_by_role("button", name="Lock in")
    assert lock.is_disabled()
    assert CHOICE.because not in page.inner_text("body")
    page.get_by_label("even", exact=True).check()
    lock.click()
    assert "You said: even." in page.inner_text("output")
    assert CHOICE.because in page.inner_text("output")
    assert page.locator("li.right").inner_text().split() == ["✓", "a", "prime"]
    assert "(yours)" in page.locator("li.wrong").inner_text()
    page.reload()
    page.wait_for_selector("output p")
    assert "You said: even." in page.inner_text("output"), "what was said is kept"
    page.get_by_role("button", name="Ask me again").click()
    page.get_by_label("a prime", exact=True).check()
    page.get_by_role("button", name="Lock in").click()
    assert "You were right." in page.inner_text("output")


@pytest.mark.browser
def test_a_number_is_compared_as_a_factor_or_a_distance_and_may_be_passed(visit):
    page = visit(NUMBER)
    slider = page.get_by_label("your guess")
    slider.focus()
    for _ in range(50):
        page.keyboard.press("ArrowRight")
    assert page.inner_text(".value") == "1,000 nats"
    page.get_by_role("button", name="Lock in").click()
    assert "You said 1,000 nats. It is 100 nats. Off by 10 times." in page.inner_text("output")
    assert [one.get_attribute("class") for one in page.locator("svg circle").all()] == ["yours", "found"]
    page.get_by_role("button", name="Ask me again").click()
    page.get_by_role("button", name="I pass").click()
    assert "You said" not in page.inner_text("output")
    assert "It is 100 nats." in page.inner_text("output")
    plain = visit(PLAIN)
    plain.get_by_label("your guess").fill("150")
    plain.get_by_role("button", name="Lock in").click()
    assert "You said 0.5. It is 0. Off by 0.5." in plain.inner_text("output")


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("guess", [CHOICE, NUMBER], ids=["choice", "number"])
def test_nothing_overflows_and_axe_is_content_before_and_after(visit, guess, width):
    page = visit(guess, width)
    assert widgets.faults(page, width) == {}
    page.get_by_role("button", name="I pass").click()
    assert widgets.faults(page, width) == {}


@pytest.mark.browser
def test_keyboard_alone_is_enough(visit):
    page = visit(CHOICE)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    for key in ("Tab", "Enter"):
        page.keyboard.press(key)
    assert "You were right." in page.inner_text("output")
    assert page.evaluate("document.activeElement.textContent") == "Ask me again"
