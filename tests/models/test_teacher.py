"""The linear teacher and student: closed forms against gradient descent done step by step, exponents, rounding."""

import numpy as np
import pytest

from precsim.models import Teacher
from precsim.numerics import INT3, INT4, PerToken, Quantizer
from precsim.symbolic.teacher import predicted_damage


def test_closed_form_against_gradient_descent_step_by_step():
    teacher = Teacher(20)
    w, losses = np.zeros(20), []
    for _ in range(50):
        losses.append(0.5 * np.sum(teacher.eigenvalues * (teacher.target - w) ** 2))
        w = w + teacher.rate * teacher.eigenvalues * (teacher.target - w)
    np.testing.assert_allclose(teacher.loss(np.arange(50)), losses, rtol=1e-9)
    np.testing.assert_allclose(teacher.student(50), w, rtol=1e-9)
    assert Teacher(3, rate=1.0).student(1)[0] == 1.0
    assert np.array_equal(Teacher(3, rate=1.0).student(0), np.zeros(3))


def slope(x, y):
    return np.polyfit(np.log(x), np.log(y), 1)[0]


@pytest.mark.parametrize(("decay", "source"), [(1.5, 1.6), (1.5, 2.0), (2.0, 1.5)])
def test_exponents_of_loss_and_size_against_theory(decay, source):
    # the tail beyond d is cut off, which bends the loss; d = 2e6 leaves these two decades of t straight
    teacher, steps = Teacher(2_000_000, decay, source), np.geomspace(1e4, 1e6, 9)
    students = [teacher.student(t) for t in steps]
    loss = np.array([teacher.loss(t) for t in steps])
    size = np.array([np.sum(w**2) for w in students])
    # the tail of sum i^-c beyond d belongs to an infinite teacher
    tail = 0.5 * 2e6 ** (1 - source) / (source - 1)
    assert slope(steps, loss + tail) == pytest.approx(-(source - 1) / decay, abs=0.02)
    assert slope(steps, size) == pytest.approx((decay - source + 1) / decay, abs=0.03)


def test_damage_of_rounding_against_theory(rng):
    teacher, steps = Teacher(128), np.geomspace(1e2, 1e4, 5)
    for fmt, bits in ((INT3, 3), (INT4, 4)):
        draws = [teacher.damage(steps, Quantizer(fmt, PerToken()), rng) for _ in range(100)]
        ratio = np.mean(draws, axis=0) / predicted_damage(teacher, steps, bits)
        assert np.all((ratio > 0.85) & (ratio < 1.15))
    growth = slope(steps, np.mean(draws, axis=0))
    assert growth == pytest.approx(slope(steps, predicted_damage(teacher, steps, 4)), abs=0.08)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"width": 1}, r"width.*1"),
        ({"decay": 0.0}, r"decay.*0"),
        ({"source": 0.9}, r"source.*between 1 and"),
        ({"source": 3.0}, r"source.*3"),
        ({"rate": 1.5}, r"rate.*1\.5"),
    ],
)
def test_impossible_teachers_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Teacher(**{"width": 8} | fields)
    with pytest.raises(ValueError, match="at least 2 bits"):
        predicted_damage(Teacher(8), 1, 1)
