"""The two tables: other forms of the law on runs held out, and the fitted constants."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from precsim import laws
from precsim.evidence import resampling
from precsim.evidence import rows as selections
from precsim.evidence.paper import our_fits
from precsim.evidence.paper.exhibits import Compared, Exhibit
from precsim.evidence.resampling import Number
from precsim.evidence.rows import open_table
from precsim.fitting.fits import Fit, fit
from precsim.laws import TIED, WEIGHTS, Effective, Law, Setting
from precsim.laws.published import KUMAR_2024
from precsim.runs import Table
from precsim.symbolic.forms import P
from precsim.symbolic.roundoff import decay_bits

FULL = 16.0  # bits that stand for full precision in a power of P, as in the paper


class Form(NamedTuple):
    """A form of table 1: the law, its fit's arguments, and the held-out R² that the paper prints; None: not in it."""

    law: Law
    printed: float | None
    tie: tuple[tuple[str, str], ...] = ()
    fix: tuple[tuple[str, float], ...] = ()


_BASE = laws.Chinchilla(E=0.0)
_TIMES = "power of P times N"
_BOTH = _BASE | laws.Saturating(WEIGHTS) | laws.Saturating(WEIGHTS, on=Effective.D)
#: Powers of P are written with parts that the package has: tanh is linear at a tiny rate, so `GaussianCapacity` is a
#: power of its capacity, here P/16; and log₂G of `ChenDegradation` is 1/P for G = 2^(1/P), without powers of N and D.
FORMS = {
    "N_eff": Form(_BASE | laws.Saturating(WEIGHTS), 0.82),
    "D_eff": Form(_BASE | laws.Saturating(WEIGHTS, on=Effective.D), 0.74),
    "both (tied)": Form(_BOTH, 0.79, tie=(("c_w", "c_w_D"), ("gamma_w", "gamma_w_D"))),
    "both (separate)": Form(_BOTH, 0.84),
    "power of P added": Form(
        _BASE | laws.ChenDegradation(TIED), 0.71, fix=(("gamma_N_qat", 0.0), ("gamma_D_qat", 0.0))
    ),
    _TIMES: Form(_BASE | laws.GaussianCapacity(WEIGHTS), 0.75, fix=(("rate_w", 1e-4),)),
    "N_eff that drifts with N and D": Form(_BASE | laws.Drifting(laws.Saturating(WEIGHTS), N0=1e5, D0=1e7), None),
}


def _with_powers(rows: Table, power: bool) -> Table:
    """Rows with the columns that the powers of P read; full precision is 16 bits for the factor that is a power."""
    bits = rows["weights"].clip(upper=FULL)
    rows = rows.assign(capacity=bits / FULL, group=2 ** (1 / bits))
    return rows.assign(weights=bits) if power else rows


@functools.cache
def fitted(name: str) -> Fit:
    """The fit of a form of table 1, to single networks as in the paper, because single networks are held out."""
    form = FORMS[name]
    rows = _with_powers(our_fits.training_rows(), name == _TIMES)
    return fit(form.law, rows, strict=False, tie=form.tie, fix=dict(form.fix))


@functools.cache
def forms() -> dict[str, tuple[Number, Number, int]]:
    """(R² in the fit, R² on the runs held out, parameters of precision) of each form."""
    out = {}
    for name, form in FORMS.items():
        near, far = (_with_powers(rows, name == _TIMES) for rows in (our_fits.training_rows(), _far()))
        found = fitted(name)
        scores = [resampling.share_explained(rows, "gap", _predict(found.law, rows)) for rows in (near, far)]
        out[name] = (scores[0], scores[1], len(form.law.free) - len(form.tie) - len(form.fix) - 4)
    return out


def _setting(bits: float) -> Setting:
    return _BASE.setting(1.0, 1.0, weights=bits)


def _far() -> Table:
    rows = selections.untreated(selections.networks_held_out(open_table()))
    return rows.loc[rows["weights"] >= 3]


def _predict(law: Law, rows: Table) -> np.ndarray:
    context = {c: rows[c].to_numpy(float) for c in ("capacity", "group")}
    n, d = rows["N"].to_numpy(float), rows["D"].to_numpy(float)
    return np.asarray(law(n, d, weights=rows["weights"].to_numpy(float), **context))


def alternatives() -> Compared:
    """Table 1: other forms, judged on runs held out."""
    printed = {name: form.printed for name, form in FORMS.items() if form.printed is not None}
    said = "Held-out R² in the paper: " + ", ".join(f"{n} {v:.2f}" for n, v in printed.items()) + "."
    found = forms()
    text = f"R² on {_far()['job'].nunique()} networks held out (longest, largest): "
    text += ", ".join(f"{n} {v[1]:.3f}" for n, v in found.items()) + "."
    best = max(printed, key=lambda n: found[n][1].value)
    order = sorted(printed, key=lambda n: -found[n][1].value)
    pairs = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]
    pairs = [(a, b) for a, b in pairs if found[a][1].value - found[b][1].value > 1e-3]  # others are one form, fitted
    same = sum(printed[a] > printed[b] for a, b in pairs)
    level = [n for n in order if n != best and found[n][1].high > found[best][1].low]
    agree = f"Of the paper's forms {best} is best here, {max(printed, key=lambda n: printed[n])} there; not told apart "
    agree += (
        f"from it: {', '.join(level) or 'none'}. {same} of {len(pairs)} pairs that differ stand in the same order. "
    )
    left = float(fitted("both (separate)").law.effective(_setting(3.0))[1])
    agree += f"With separate factors D_eff/D at 3 bits is {left:.2f}. "
    agree += "With drift, which the paper did not try, "
    new = found["N_eff that drifts with N and D"][1]
    return Compared(
        said, text, agree + ("it is better still." if new.low > found[best][1].value else "it is no better.")
    )


def table_of_forms() -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Table 1: head and rows, the best of ours first."""
    head = ("form", "parameters of precision", "R² in the fit", "R² held out", "the paper's")
    order = sorted(forms().items(), key=lambda item: -item[1][1].value)
    return head, tuple(
        (name, str(count), f"{near:.3f}", f"{far:.3f}", "" if FORMS[name].printed is None else f"{FORMS[name].printed}")
        for name, (near, far, count) in order
    )


#: Names of the constants of table 2, and their letters.
_LETTERS = {
    "alpha": "α",
    "beta": "β",
    "gamma_w": "γ_w",
    "n_w": "n_w",
    "gamma_D": "γ_D",
    "gamma_N": "γ_N",
    "gamma_post": "γ",
}


@functools.cache
def ours() -> dict[str, Number]:
    """The constants of table 2 as fitted to our runs."""
    served, trained = our_fits.served_fit(), our_fits.weights_fit(our_fits.OFFSET, 3)
    return {n: resampling.parameter(trained if n.endswith("_w") else served, n) for n in _LETTERS}


def table_of_constants() -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Table 2: head and rows."""
    theirs = {name: float(KUMAR_2024.parameters[name]) for name in _LETTERS}
    rows = [
        (letter, f"{theirs[name]:.2f}", f"{ours()[name]:.2f}", ours()[name].against(theirs[name]))
        for name, letter in _LETTERS.items()
    ]
    entropy = ("E", f"{KUMAR_2024.E:.2f}", "0: the entropy is known", "")
    return ("constant", "the paper's", "ours", "theirs against our interval"), (*rows, entropy)


def constants() -> Compared:
    """Table 2: the fitted constants beside ours."""
    k, of = KUMAR_2024, ours()
    said = ", ".join(f"{x} {k.parameters[n]:.2f}" for n, x in _LETTERS.items()) + f", E {k.E:.2f}."
    text = ", ".join(f"{x} {of[n]:.2f}" for n, x in _LETTERS.items()) + ", E 0 (the entropy is known)."
    inside = [x for n, x in _LETTERS.items() if of[n].against(float(k.parameters[n])) == "inside"]
    times = of["gamma_post"].value / k.gamma_post
    least, most = (float(decay_bits().subs(P, bits)) for bits in (3, 5))  # between 3 and 4, and 5 and 6, bits
    agree = f"Inside our intervals: {', '.join(inside) or 'none'}. Only γ can be expected to agree, as the grid gives "
    agree += f"{least:.2f} to {most:.2f} for 3 to 6 bits: it is {times:.2f} times theirs. "
    agree += "The authors claim trends, not constants."
    return Compared(said, text, agree)


EXHIBITS = (
    Exhibit(number="T1", shows="Other forms on runs held out.", compare=alternatives, table=table_of_forms),
    Exhibit(number="T2", shows="The fitted constants.", compare=constants, table=table_of_constants),
)
