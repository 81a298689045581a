"""Laws: one expression on floats, arrays, jets and symbols; published constants against the paper's statements."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import sympy as sp

from precsim import laws
from precsim.laws import ACTIVATIONS, KV, TIED, WEIGHTS, Effective, Law, published
from precsim.laws.jets import Jet

BASES = [
    laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37),
    laws.Tied(E=1.7, A=400.0, B=2000.0, alpha=0.36),
    laws.OuterExponent(E=1.3, A=1.5e5, B=5e5, alpha=0.589, beta=0.544, g=0.27),
    laws.BetaOfN(E=1.3, A=57.0, B=0.28, alpha=0.2, beta=0.5, b_N=0.17, k_N=-0.1),
    laws.Kaplan(E=0.1, A=3e11, B=5e13, alpha=0.8, g=0.095),
]
FACTORS = [
    laws.Saturating(WEIGHTS, c=3.0, gamma=1.2),
    laws.Plain(WEIGHTS, gamma=2.7),
    laws.Offset(ACTIVATIONS, gamma=2.2, n=0.5),
    laws.Powered(KV, gamma=2.0, n=1.5),
    laws.GaussianCapacity(WEIGHTS, rate=0.4, power=1.3),
    laws.Saturating(TIED, c=3.0, gamma=1.2),
    laws.Saturating(WEIGHTS, c=3.0, gamma=1.2, on=Effective.D),
    laws.Drifting(laws.Saturating(WEIGHTS, c=3.0, gamma=1.2), drift_D=0.08, drift_N=0.2),
]
DEGRADATIONS = [
    laws.KumarDegradation(C_T=0.06, gamma_D=0.5, gamma_N=0.34, gamma_post=0.59, b=1.1),
    laws.RobustDegradation(C_T=0.06, gamma_D=0.5, gamma_N=0.34, gamma_post=0.59, C_w=0.5, C_a=0.3, C_kv=0.2),
    laws.OuyangDegradation(k=0.017, gamma_D=0.5251, gamma_N=0.2261, c=5.4967),
    laws.SecondOrderDegradation(K=0.02, gamma_D=0.5, gamma_N=0.3),
]
WHOLE = [b | f | d for b, f, d in itertools.product(BASES[:1], FACTORS, DEGRADATIONS)] + [
    b | FACTORS[0] | DEGRADATIONS[0] for b in BASES
]
BITS = {"weights": 6.0, "activations": 6.0, "kv": 6.0, "post": 3.0}


@pytest.mark.parametrize("law", WHOLE, ids=repr)
def test_numbers_arrays_and_symbols_agree(law):
    N, D = np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)
    array = law(N, D, **BITS)
    one_by_one = [float(law(n, d, **BITS)) for n, d in zip(N, D, strict=True)]
    assert np.array_equal(array, one_by_one) or np.allclose(array, one_by_one, rtol=1e-15)
    n, d, p = sp.symbols("N D P", positive=True)
    formula = law(n, d, weights=p, activations=p, kv=p, post=3.0)
    value = sp.lambdify((n, d, p), formula, "numpy")(N, D, 6.0)
    assert np.allclose(value, array, rtol=1e-13)  # one rounding for each of the ~20 operations


@pytest.mark.parametrize("law", WHOLE, ids=repr)
def test_gradient_is_that_of_the_formula(law):
    """Against SymPy's derivative of the same law, an independent differentiation."""
    symbols = {name: sp.Symbol("p_" + str(i), positive=True) for i, name in enumerate(law.parameters)}
    expr = law.replace(**symbols)(3e7, 2e9, **BITS)
    at = [(symbols[n], v) for n, v in law.parameters.items()]
    gradient = law.gradient(3e7, 2e9, **BITS)
    for name, s in symbols.items():
        expected = float(sp.diff(expr, s).subs(at))
        assert gradient[name] == pytest.approx(expected, rel=1e-9, abs=1e-14)


def test_jets_second_derivatives_match_sympy():
    x, y = sp.symbols("x y", positive=True)

    def f(a, b, exp):
        return (a**1.5 * b + exp(-a / b)) ** -b / (1 + a * a) + 2**b

    expr = f(x, y, sp.exp)
    jet = f(Jet.variable(1.3, 0), Jet.variable(0.7, 1), laws.jets.exp)
    at = {x: 1.3, y: 0.7}
    for i, u in enumerate((x, y)):
        assert jet.first[i] == pytest.approx(float(sp.diff(expr, u).subs(at)), rel=1e-12)
        for j, v in enumerate((x, y)):
            if i <= j:
                assert jet.second[i, j] == pytest.approx(float(sp.diff(expr, u, v).subs(at)), rel=1e-12)


@pytest.mark.parametrize("law", WHOLE, ids=repr)
def test_json_keeps_every_bit(law):
    again = Law.from_json(law.to_json())
    assert again == law
    third = law.replace(**{law.free[0] if law.free else next(iter(law.parameters)): 1 / 3})
    assert Law.from_json(third.to_json()).parameters == third.parameters


@pytest.mark.parametrize("factor", FACTORS, ids=repr)
def test_no_quantization_is_exactly_the_base(factor):
    law = BASES[0] | factor
    assert float(law(1e8, 1e10)) == float(BASES[0](1e8, 1e10))
    column = law(
        1e8, 1e10, weights=np.array([4.0, np.inf]), activations=np.array([4.0, np.inf]), kv=np.array([4.0, np.inf])
    )
    assert column[1] == float(BASES[0](1e8, 1e10))
    assert column[0] > column[1]


@pytest.mark.parametrize("factor", FACTORS, ids=repr)
def test_more_bits_never_hurt(factor):
    P = np.linspace(2.0, 16.0, 57)
    loss = (BASES[0] | factor)(1e8, 1e10, weights=P, activations=P, kv=P)
    assert (np.diff(loss) <= 0).all()


@pytest.mark.parametrize("degradation", DEGRADATIONS, ids=repr)
def test_degradation_grows_with_data_and_falls_with_bits_and_size(degradation):
    law = degradation
    assert law(1e8, 2e10, post=4) > law(1e8, 1e10, post=4) > 0
    assert law(1e8, 1e10, post=5) < law(1e8, 1e10, post=4)
    assert law(2e8, 1e10, post=4) < law(1e8, 1e10, post=4)
    assert law(1e8, 1e10) == 0.0


def test_robustification_vanishes_at_the_trained_width_and_helps_above_it():
    robust, plain = DEGRADATIONS[1], laws.KumarDegradation(C_T=0.06, gamma_D=0.5, gamma_N=0.34, gamma_post=0.59)
    assert robust(1e8, 1e10, weights=4, post=4) == 0.0
    assert robust(1e8, 1e10, weights=3, post=4) == 0.0
    assert 0 < robust(1e8, 1e10, weights=6, post=4) < plain(1e8, 1e10, post=4)
    assert float(robust(1e8, 1e10, post=4)) == pytest.approx(float(plain(1e8, 1e10, post=4)), rel=1e-15)


def test_format_and_bits_are_the_same_argument():
    import precsim as ps

    law = published.KUMAR_2024
    assert law(1e8, 1e10, weights=ps.INT4, activations=ps.FP8_E4M3) == law(1e8, 1e10, weights=4, activations=8)


# -- the paper's own statements, from its constants (paper.md section 2) ---------------------------------------------
def test_best_bits_of_the_published_constants():
    assert published.KUMAR_2024.best_bits() == pytest.approx(7.0021, abs=5e-5)
    assert published.KUMAR_2024_MAIN_TEXT.best_bits() == pytest.approx(3.47, abs=5e-3)


def test_best_bits_solves_the_tied_closed_form():
    """Three equal plain factors: 3x/(eˣ − 1) = 1 with x = P/γ, x* = 1.904 (paper.md 1.5)."""
    law = BASES[0] | laws.Plain(WEIGHTS, gamma=2.0) | laws.Plain(ACTIVATIONS, gamma=2.0) | laws.Plain(KV, gamma=2.0)
    x = law.best_bits() / 2.0
    assert 3 * x / math.expm1(x) == pytest.approx(1.0, rel=1e-12)
    assert x == pytest.approx(1.904, abs=5e-4)


def test_four_bits_cost_five_times_the_parameters():
    assert 1 / laws.tied_factor(published.KUMAR_2024, 4.0) == pytest.approx(5.24, abs=5e-3)
    assert 1 / laws.tied_factor(published.KUMAR_2024_MAIN_TEXT, 4.0) == pytest.approx(1.57, abs=5e-3)


@pytest.mark.parametrize(("P", "product"), [(4, 0.191), (5, 0.427), (6, 0.611), (7, 0.740), (8, 0.828), (12, 0.967)])
def test_published_factor_table(P, product):
    assert laws.tied_factor(published.KUMAR_2024, P) == pytest.approx(product, abs=6e-4)


def test_three_bits_have_no_prediction():
    assert np.isnan(published.KUMAR_2024(1e8, 1e10, weights=3, activations=3, kv=3))
    both_negative = published.KUMAR_2024(1e8, 1e10, activations=2, kv=2)  # their product would be positive
    assert np.isnan(both_negative)


@pytest.mark.parametrize(("P", "tokens"), [(3, 3.6e10), (4, 1.95e11), (5, 1.06e12)])
def test_critical_tokens_of_an_8b_model(P, tokens):
    assert laws.critical_tokens(published.KUMAR_2024, 8e9, P) == pytest.approx(tokens, rel=6e-3)


def test_critical_tokens_closed_form():
    law = BASES[0] | DEGRADATIONS[0]
    d, b = DEGRADATIONS[0], BASES[0]
    closed = (b.beta * b.B * 1e8**d.gamma_N * math.exp(4 / d.gamma_post - d.b) / (d.gamma_D * d.C_T)) ** (
        1 / (d.gamma_D + b.beta)
    )
    assert laws.critical_tokens(law, 1e8, 4) == pytest.approx(closed, rel=1e-12)


def test_chinchilla_optimum_is_stationary():
    law, C = BASES[0], 1e22
    N, D = law.optimum(C)
    assert 6 * N * D == pytest.approx(C, rel=1e-13)
    assert law.alpha * law.A * N**-law.alpha == pytest.approx(law.beta * law.B * D**-law.beta, rel=1e-12)


@pytest.mark.parametrize("entry", published.CATALOG, ids=lambda e: e.name)
def test_every_published_law_predicts(entry):
    context = {"scheme": "W4A4", "group": 32, "exponent_bits": 4, "significand_bits": 3, "block": 128}
    value = entry.law(1e9, 1e11, weights=4, post=4, **context)
    assert entry.source.startswith("arXiv")
    assert np.isfinite(value)
    assert not entry.law.free


@pytest.mark.parametrize(
    ("law", "at", "value"),
    [
        (published.QUEST_2025, dict(N=30482560, D=2999975936), 3.21),  # paper.md 7(d): the 30M BF16 loss
        (published.OUYANG_2024, dict(N=7e9, D=4.51e12, post=4), 0.2),  # 7(b): tokens for δ = 0.2 at 4 bits
    ],
)
def test_published_values(law, at, value):
    assert law(**at) == pytest.approx(value, rel=0.15)


# -- bad input -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: laws.Chinchilla()(1e8, 1e9), "E, A, B, alpha, beta have no value yet"),
        (lambda: BASES[0](0, 1e9), "N must be positive, got 0"),
        (lambda: BASES[0](1e8, np.nan), "D must be positive"),
        (lambda: BASES[0](1e8, 1e9, weights=-1), "bits must be positive"),
        (lambda: BASES[0](1e8, 1e9, wieghts=4), "unknown argument"),
        (lambda: BASES[0] | BASES[1], "one base"),
        (lambda: laws.Plain(WEIGHTS) | laws.Saturating(WEIGHTS), "share the parameters"),
        (lambda: BASES[0].replace(gamma=1.0), "no parameter"),
        (lambda: BASES[0].best_bits(), "no precision factor"),
        (lambda: (BASES[0] | FACTORS[6]).best_bits(), "depends on the budget"),
        (lambda: (BASES[0] | FACTORS[5])(1e8, 1e9, weights=4, activations=8), "one width"),
        (lambda: published.CHEN_2025_W4A4(1e8, 1e9, weights=4), "needs group="),
        (lambda: laws.PerScheme(("a", "a")), "distinct schemes"),
    ],
)
def test_bad_input_says_what_would_work(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_unknown_attribute_lists_the_parameters():
    with pytest.raises(AttributeError, match="alpha"):
        _ = BASES[0].gama


def test_import_is_light():
    """Laws cost NumPy and nothing else; the child also proves that the check can fail."""
    heavy = "{'scipy', 'sympy', 'pandas', 'jax', 'altair', 'numba'}"
    code = f"import sys; import precsim.laws; print(sorted({heavy} & set(sys.modules)));"
    code += f"import sympy; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines() == ["[]", "['sympy']"]


def test_gaussian_capacity_of_the_one_bit_grid_in_closed_form():
    """At 2 bits the levels are −s, 0, s: the error of a step s is known in closed form, and the best one is found."""
    from scipy.optimize import minimize_scalar
    from scipy.stats import norm

    def error(s):  # E x² − 2 s E|x|1(|x| > s/2) + s² P(|x| > s/2)
        tail = 2 * norm.sf(s / 2)
        return 1 - 2 * s * 2 * norm.pdf(s / 2) + s * s * tail

    best = minimize_scalar(error, bounds=(0.5, 3.0), method="bounded", options={"xatol": 1e-10}).fun
    assert laws.gaussian_capacity(2) == pytest.approx(-math.log(best) / math.log(4), rel=1e-12)
    assert laws.gaussian_capacity(8) < 8  # the rate-distortion bound
    with pytest.raises(ValueError, match="2 to 16 bits"):
        laws.gaussian_capacity(1)


@pytest.mark.parametrize("P", [3, 5, 8])
def test_gaussian_capacity_is_that_of_the_exact_error_at_the_best_step(P):
    """Moments of every cell in SymPy, another way to the same error, at a step that SciPy's search finds best."""
    import sympy as sp
    from scipy.optimize import minimize_scalar

    from precsim.symbolic.roundoff import normal_error

    most, end = 2 ** (P - 1) - 1, sp.Symbol("end", positive=True)
    relative = sp.lambdify(end, normal_error(P, end), "scipy")
    best = minimize_scalar(lambda x: relative(x) * (x / most) ** 2 / 12, bounds=(1, 6), method="bounded")
    assert laws.gaussian_capacity(P) == pytest.approx(-math.log(best.fun) / math.log(4), rel=1e-9)


def test_sixteen_bits_cost_what_the_step_and_the_tail_do():
    """R at 16 bits by h²/12 + E(|x| − mh)₊², which is exact to 1e-6 there; a grid of points once gave 5e-4 more."""
    from scipy.optimize import minimize_scalar
    from scipy.stats import norm

    def error(end):
        tail = 2 * ((1 + end**2) * norm.sf(end) - end * norm.pdf(end))
        return (end / (2**15 - 1)) ** 2 / 12 + tail

    best = minimize_scalar(error, bounds=(3, 9), method="bounded", options={"xatol": 1e-10}).fun
    assert laws.gaussian_capacity(16) == pytest.approx(-math.log(best) / math.log(4), abs=2e-6)


# -- optima, edge cases ------------------------------------------------------------------------------------------------
WITH_DAMAGE = BASES[0] | DEGRADATIONS[0]


def test_optima_of_draws_are_those_of_each_draw():
    rng = np.random.default_rng(5)
    law = published.KUMAR_2024
    draws = {k: v * np.exp(0.02 * rng.standard_normal(20)) for k, v in law.parameters.items()}
    together = law.replace(**draws)
    alone = [law.replace(**{k: v[i] for k, v in draws.items()}) for i in range(20)]
    np.testing.assert_allclose(together.best_bits(), [one.best_bits() for one in alone], rtol=1e-14)
    sizes = np.array([[1e8], [8e9]])
    both = laws.critical_tokens(together, sizes, 4)
    assert both.shape == (2, 20)
    np.testing.assert_allclose(both[1], [laws.critical_tokens(one, 8e9, 4) for one in alone], rtol=1e-12)


def test_critical_tokens_take_arrays_of_bits():
    found = laws.critical_tokens(published.KUMAR_2024, 8e9, np.array([3.0, 4.0, np.inf]), weights=[[8.0], [np.inf]])
    assert found.shape == (2, 3)
    assert found[1, 1] == laws.critical_tokens(published.KUMAR_2024, 8e9, 4)
    assert np.isinf(found[:, 2]).all()


@pytest.mark.parametrize(
    ("law", "tokens"),
    [
        (WITH_DAMAGE.replace(gamma_D=0.0), np.inf),  # the damage does not grow
        (WITH_DAMAGE.replace(C_T=1e-40), np.inf),  # the turn is beyond 1e40
        (WITH_DAMAGE.replace(C_T=1e30), 1.0),  # the first token hurts
    ],
)
def test_a_law_without_a_turn_has_an_end_as_its_critical_tokens(law, tokens):
    assert laws.critical_tokens(law, 1e8, 4) == tokens


def test_a_law_without_a_prediction_has_no_critical_tokens():
    """A factor below zero gave 1.0, as if the first token hurt."""
    law = BASES[0] | laws.Offset(WEIGHTS, gamma=2.0, n=3.0) | DEGRADATIONS[0]
    assert np.isnan(law(1e8, 1e10, weights=3, post=3))
    assert np.isnan(laws.critical_tokens(law, 1e8, 3, weights=3))
    assert np.isfinite(laws.critical_tokens(law, 1e8, 3, weights=12))


def test_best_bits_at_the_ends_at_a_step_and_nowhere():
    law = published.KUMAR_2024
    assert law.best_bits(lambda P: 1.0 + 0.0 * P) == 32.0  # bits are free
    assert laws.Saturating(WEIGHTS, c=0.1, gamma=1.0).best_bits() == 1.0
    stairs = law.best_bits(lambda P: np.where(np.asarray(getattr(P, "value", P)) <= 8, 0.5, 1.0))
    assert 8 - 1e-3 < stairs <= 8  # at the right end of a tread
    assert law.best_bits(lambda P: P**9.0) == pytest.approx(3.576310624543388, rel=1e-12)  # beside the zero of f
    assert np.isnan(laws.Offset(WEIGHTS, gamma=2.0, n=40.0).best_bits())  # f is positive at no width: it gave 1.0


def test_an_implied_factor_of_draws_broadcasts():
    base = laws.Chinchilla(E=1.7, A=np.array([400.0, 500.0]), B=2000.0, alpha=0.35, beta=0.37)
    found = laws.optima.implied_factor(base, 1e8, 1e10, base.loss(0.25e8, 1e10))
    np.testing.assert_allclose(found, 0.25, rtol=1e-12)
    assert np.isnan(laws.optima.implied_factor(base, 1e8, 1e10, np.nan)).all()
