"""A fit says what its rows differ in and its form does not know."""

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim import laws

TRUTH = laws.KumarDegradation(C_T=0.06, gamma_D=0.5, gamma_N=0.3, gamma_post=0.6)


@pytest.fixture
def runs():
    N, D, post = (x.ravel() for x in np.meshgrid([1e6, 3e6, 1e7], [1e8, 1e9], [3.0, 4.0, 5.0]))
    return pd.DataFrame({"N": N, "D": D, "post": post, "delta": TRUTH(N, D, post=post)})


def test_rows_that_differ_in_nothing_else_are_not_spoken_of(runs):
    alike = runs.assign(post_method="rtn", post_format=[f"INT{int(b)}" for b in runs["post"]], schedule="Cosine()")
    assert "differ" not in ps.fit(laws.KumarDegradation(), alike).message


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("post_method", ["rtn", "gptq"], "post_method (gptq, rtn)"),
        ("weights", [6.0, np.inf], "weights (6, inf)"),
        ("post_format", ["INT4", "FP4_E2M1"], "post_format (FP, INT)"),
        ("schedule", ["Cosine(final=0.05)", "Constant()"], "schedule (Constant, Cosine)"),
    ],
)
def test_what_a_form_does_not_know_is_named_with_its_values(runs, column, values, words):
    mixed = pd.concat([runs.assign(**{column: value}) for value in values], ignore_index=True)
    mixed.loc[: len(runs) - 1, "delta"] *= 2  # or the rows would be copies
    message = ps.fit(laws.KumarDegradation(), mixed).message
    assert f"rows differ in {words}, which this form does not know" in message


def test_a_column_that_the_form_reads_is_not_named():
    N, D, bits = (x.ravel() for x in np.meshgrid([1e6, 1e7, 1e8], [1e8, 1e9, 1e10], [3.0, 4.0, np.inf]))
    law = laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37) | laws.Saturating(
        laws.WEIGHTS, c=6.0, gamma=1.3
    )
    runs = {"N": N, "D": D, "weights": bits, "loss": law(N, D, weights=bits)}
    assert "differ" not in ps.fit(law.blank(), runs).message
    assert "weights (3, 4, inf)" in ps.fit(laws.Chinchilla(), runs, strict=False).message
