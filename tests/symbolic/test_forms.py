"""Formulas against numeric routes, the paper's equations, and three renderings of one expression."""

import json
import math
import re
import shutil
import subprocess

import pytest
import sympy as sp

from precsim import laws, symbolic
from precsim.laws import ACTIVATIONS, KV, WEIGHTS, published
from precsim.planning import Choice, plan
from precsim.symbolic import C, D, N, P, P_post, symbol

BUDGET = sp.Eq(C, 6 * N * D)
PAPER = sp.Eq(C, sp.Rational(6, 16) * N * D * P)
BASE = laws.Chinchilla()
GIVEN = laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
TIED_PLAIN = BASE | laws.Plain(WEIGHTS) | laws.Plain(ACTIVATIONS) | laws.Plain(KV)


def test_symbols_avoid_the_browsers_constants():
    names = {str(s) for s in symbolic.law(BASE)(N, D).free_symbols}
    assert names == {"A", "B", "E_inf", "alpha", "beta", "N", "D"}


def test_chinchilla_optimum_closed_form():
    best = symbolic.optimum(symbolic.law(BASE), BUDGET)
    at = [{"C": c} for c in (1e18, 1e21, 1e25)]
    for i, x in enumerate((N, D)):
        assert symbolic.check(best[x], lambda law, C, i=i: law.optimum(C)[i], [GIVEN, published.EPOCH_2024], at) < 1e-11


def test_optimum_with_precision_is_the_plans():
    s = symbolic.law(BASE | laws.Offset(WEIGHTS) | laws.Offset(ACTIVATIONS) | laws.Offset(KV))
    best = symbolic.optimum(s, PAPER, weights=P, activations=P, kv=P)
    one = laws.Composite(published.KUMAR_2024.parts[:4])

    def numeric(law, C, P):
        return plan(law, compute=C, choices=[Choice.tied(P)]).N

    assert symbolic.check(best[N], numeric, [one], [{"C": 1e23, "P": 8}, {"C": 1e20, "P": 5}]) < 1e-6  # √ε of a search


def test_outer_exponent_does_not_move_the_optimum():
    plain = symbolic.optimum(symbolic.law(BASE), BUDGET)
    outer = symbolic.optimum(symbolic.law(laws.OuterExponent()), BUDGET)
    assert plain == outer


def test_stationarity_holds_at_the_optimum():
    condition = symbolic.stationarity(symbolic.law(BASE), BUDGET)
    n, _ = GIVEN.optimum(1e21)
    values = {symbol(k): v for k, v in GIVEN.parameters.items()} | {N: n, C: 1e21}
    assert float(condition.lhs.subs(values)) == pytest.approx(float(condition.rhs.subs(values)), rel=1e-10)


def test_exponents():
    a, b = symbol("alpha"), symbol("beta")
    found = symbolic.exponents(symbolic.law(BASE), BUDGET)
    assert sp.simplify(found[N] - b / (a + b)) == 0
    assert sp.simplify(found[D] - a / (a + b)) == 0
    assert sp.simplify(found[N] + found[D]) == 1


def test_printed_power_of_p_in_equations_6_16_17_is_wrong():
    """N* D* P must be proportional to C, so D* has P^(−α/(α+β)) beside its factor, not P^(+β/(α+β))."""
    s = symbolic.law(TIED_PLAIN)
    best = symbolic.optimum(s, PAPER, weights=P, activations=P, kv=P)
    assert sp.simplify(sp.powsimp(sp.expand_power_base(best[N] * best[D] * P * 6 / 16 / C, force=True))) == 1
    f, _ = s.effective(s.setting(N, D, weights=P, activations=P, kv=P))
    a, b = symbol("alpha"), symbol("beta")
    log_d = sp.expand_log(sp.log(best[D]), force=True)
    slope = sp.lambdify(
        (P, a, b, *(symbol(f"gamma_{x}") for x in ("w", "a", "kv"))),
        P * sp.diff(log_d, P) - a / (a + b) * P * sp.diff(sp.log(f / N), P),
    )
    for p, al, be in ((5.0, 0.5, 0.5), (8.0, 0.3, 0.4)):
        assert slope(p, al, be, 2.7, 2.2, 1.0) == pytest.approx(-al / (al + be), rel=1e-10)
        assert slope(p, al, be, 2.7, 2.2, 1.0) != pytest.approx(be / (al + be), rel=0.1)


def test_best_bits_contains_no_base_and_no_budget():
    equation = symbolic.best_bits(symbolic.law(TIED_PLAIN))
    assert {str(s) for s in equation.free_symbols} == {"P", "gamma_w", "gamma_a", "gamma_kv"}


def test_best_bits_equation_holds_at_the_numeric_optimum():
    form = laws.Composite(published.KUMAR_2024.parts[:4])
    equation = symbolic.best_bits(symbolic.law(form))
    values = {symbol(k, positive=form.describe(k)["positive"]): v for k, v in form.parameters.items()}
    assert float((equation.lhs - equation.rhs).subs(values).subs(P, form.best_bits())) == pytest.approx(0, abs=1e-10)


def test_equation_7_as_printed_gives_1_46_bits():
    """A spare α on the left: with γ̄ = 1.9475 it is solved by 1.46 bits, a misprint rather than a result."""
    g = 1.9475
    x = sp.nsolve(0.4965 * 3 * (P / g) / (sp.exp(P / g) - 1) - 1, P, 1.5)
    assert float(x) == pytest.approx(1.46, abs=0.005)


def test_steps_in_a_hardware_price_move_the_optimum():
    law = laws.Composite(published.KUMAR_2024.parts[:4])
    smooth = law.best_bits(lambda p: p**0.5)
    assert smooth > law.best_bits()
    equation = symbolic.best_bits(symbolic.law(law), sp.sqrt(P))
    assert equation.rhs == sp.Rational(1, 2)


def test_critical_tokens_closed_form_and_exponents():
    form = BASE | laws.KumarDegradation()
    value = symbolic.critical_tokens(symbolic.law(form))
    one = laws.Composite((published.KUMAR_2024.base, published.KUMAR_2024.parts[-1]))
    at = [{"N": n, "P_post": p} for n in (3e7, 8e9) for p in (3, 4, 5)]
    assert symbolic.check(value, lambda law, N, P_post: laws.critical_tokens(law, N, P_post), [one], at) < 1e-10
    power = sp.simplify(N * sp.diff(sp.expand_log(sp.log(value), force=True), N))
    numbers = {symbol("gamma_N", positive=False): 0.3439, symbol("gamma_D"): 0.5068, symbol("beta"): 0.4965}
    assert float(power.subs(numbers)) == pytest.approx(0.343, abs=5e-4)
    rate = sp.simplify(sp.diff(sp.expand_log(sp.log(value), force=True), P_post))
    assert float(1 / rate.subs(numbers).subs(symbol("gamma_post"), 0.5907)) == pytest.approx(0.593, abs=5e-4)


def test_limits():
    found = symbolic.limits(symbolic.law(BASE | laws.Saturating(WEIGHTS)))
    assert found["D → ∞"] == symbol("A") / N ** symbol("alpha") + symbol("E")
    assert found["N_eff/N, P → ∞"] == 1


FORMS = [
    laws.Composite(published.KUMAR_2024.parts),
    GIVEN | laws.Saturating(WEIGHTS, c=3.0, gamma=1.2),
    GIVEN | laws.GaussianCapacity(WEIGHTS, rate=0.3, power=1.4),
    published.OUYANG_2024,
]


def _vega_by_hand(text, values):
    """Evaluate a Vega expression's small subset with Python's own arithmetic: its functions, then JavaScript's."""
    scope = {"pow": math.pow, "exp": math.exp, "log": math.log, "sqrt": math.sqrt, "E": math.e}
    return eval(text, {"__builtins__": {}}, scope | values)  # the text comes from our printer


@pytest.mark.parametrize("law", FORMS, ids=repr)
def test_vega_numpy_and_the_law_agree(law):
    s = symbolic.law(law)
    expr = s(N, D, weights=P, activations=P, kv=P, post=P_post)
    names = {symbol(k, positive=law.describe(k)["positive"]): float(v) for k, v in law.parameters.items()}
    setting = {N: 3e8, D: 2e10, P: 5.0, P_post: 4.0}
    expected = float(law(3e8, 2e10, weights=5, activations=5, kv=5, post=4))
    args = [*names, *setting]
    assert symbolic.to_numpy(expr, args)(*names.values(), *setting.values()) == pytest.approx(expected, rel=1e-13)
    values = {str(k): v for k, v in (names | setting).items()}
    assert _vega_by_hand(symbolic.to_vega(expr), values) == pytest.approx(expected, rel=1e-13)


@pytest.mark.skipif(shutil.which("node") is None, reason="issue 7: no node to run the browser's expression")
def test_the_browsers_arithmetic_agrees():
    law = FORMS[0]
    expr = symbolic.law(law)(N, D, weights=P, activations=P, kv=P, post=P_post)
    values = {str(symbol(k)): float(v) for k, v in law.parameters.items()} | dict(N=3e8, D=2e10, P=5.0, P_post=4.0)
    code = f"const {{pow, exp, log}} = Math; const v = {json.dumps(values)};"
    code += "".join(f"const {k} = v.{k};" for k in values) + f"console.log({symbolic.to_vega(expr)})"
    out = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True, timeout=30).stdout
    assert float(out) == pytest.approx(float(law(3e8, 2e10, weights=5, activations=5, kv=5, post=4)), rel=1e-12)


def _tree_by_hand(tree, values):
    """What the explorer's script does with a tree, without its derivatives."""
    if not isinstance(tree, list):
        return values[tree] if isinstance(tree, str) else tree
    operation, *arguments = tree
    known = {"+": math.fsum, "*": math.prod, "^": lambda x: x[0] ** x[1], "max": max}
    numbers = [_tree_by_hand(argument, values) for argument in arguments]
    return known[operation](numbers) if operation in known else getattr(math, operation)(*numbers)


@pytest.mark.parametrize("law", FORMS, ids=repr)
def test_the_tree_of_a_formula_has_the_value_of_its_text(law):
    expr = symbolic.law(law)(N, D, weights=P, activations=P, kv=P, post=P_post)
    values = {str(symbol(k)): float(v) for k, v in law.parameters.items()} | dict(N=3e8, D=2e10, P=5.0, P_post=4.0)
    text = _vega_by_hand(symbolic.to_vega(expr), values)
    assert _tree_by_hand(symbolic.to_tree(expr), values) == pytest.approx(text, rel=1e-13)


def test_numbers_keep_all_digits_in_vega():
    x = sp.Symbol("x_1", positive=True)
    text = symbolic.to_vega(x * sp.Float(0.1 + 0.2) + sp.Rational(1, 3))
    assert _vega_by_hand(text, {"x_1": 1.0}) == (0.1 + 0.2) + 1 / 3


@pytest.mark.parametrize("name", ["E", "PI", "datum", "LN2", "event", "exp"])
def test_names_of_vega_are_refused(name):
    for write in (symbolic.to_vega, symbolic.to_tree):
        with pytest.raises(ValueError, match=f"{name} means something else"):
            write(sp.Symbol(name) + 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: symbolic.to_vega(sp.Symbol("α") + 1), "no identifier"),
        (lambda: symbolic.to_vega(sp.gamma(N)), "gamma has no counterpart"),
        (lambda: symbolic.to_tree(sp.gamma(N)), "gamma has no counterpart"),
        (lambda: symbolic.optimum(symbolic.law(laws.KumarDegradation()), BUDGET), "needs a base"),
        (lambda: symbolic.best_bits(symbolic.law(BASE)), "independent of the budget only"),
        (lambda: symbolic.optimum(symbolic.law(BASE), sp.Eq(C, 6 * N)), "must give D"),
        (lambda: symbolic.check(N, lambda law: 1.0, [GIVEN]), "no value for N"),
    ],
)
def test_what_cannot_be_derived_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_check_sees_a_wrong_formula():
    wrong = symbolic.optimum(symbolic.law(BASE), BUDGET)[N] * (1 + sp.Float(1e-6))
    assert symbolic.check(wrong, lambda law, C: law.optimum(C)[0], [GIVEN], [{"C": 1e21}]) == pytest.approx(
        1e-6, rel=1e-3
    )


class _Latex:
    """Arithmetic of the LaTeX that the package prints: sums, juxtaposed factors, fractions, powers, e^{...}."""

    def __init__(self, text: str, values: dict[str, float]) -> None:
        self.tokens = re.findall(r"\\left\(|\\right\)|\\[A-Za-z]+|[A-Za-z]|\d+\.?\d*|[-+^_{}]", text)
        self.values = values

    def take(self, wanted: str | None = None) -> str:
        token = self.tokens.pop(0)
        assert wanted in (None, token), f"{wanted} expected, {token} found"
        return token

    def ends(self) -> bool:
        return not self.tokens or self.tokens[0] in ("}", r"\right)")

    def total(self) -> float:
        result = 0.0
        while not self.ends():
            sign = -1.0 if self.tokens[0] == "-" else 1.0
            if self.tokens[0] in "+-":
                self.take()
            result += sign * self.product()
        return result

    def product(self) -> float:
        result = 1.0
        while not self.ends() and self.tokens[0] not in "+-":
            result *= self.power()
        return result

    def group(self) -> float:
        self.take("{")
        result = self.total()
        self.take("}")
        return result

    def power(self) -> float:
        base = self.atom()
        if self.tokens and self.tokens[0] == "^":
            self.take("^")
            return base ** self.group()
        return base

    def atom(self) -> float:
        token = self.take()
        if token == r"\left(":
            result = self.total()
            self.take(r"\right)")
            return result
        if token == r"\frac":
            return self.group() / self.group()
        if token[0].isdigit():
            return float(token)
        if token == "e":
            return math.e
        name = token.lstrip("\\")
        if self.tokens and self.tokens[0] == "_":
            self.take("_")
            self.take("{")
            part = ""
            while self.tokens[0] != "}":
                part += self.take().lstrip("\\")
            self.take("}")
            name += "_" + part.replace("infty", "inf")
        return self.values[name]


@pytest.mark.parametrize("law", [FORMS[0], FORMS[1], FORMS[3]], ids=repr)
def test_what_is_typeset_is_the_law(law):
    """The LaTeX of a law, read again as arithmetic, gives the law's number: three renderings, one value."""
    expr = symbolic.law(law)(N, D, weights=P, activations=P, kv=P, post=P_post)
    names = {str(symbol(k, positive=law.describe(k)["positive"])): float(v) for k, v in law.parameters.items()}
    values = names | {"N": 3e8, "D": 2e10, "P": 5.0, "P_post": 4.0}
    expected = float(law(3e8, 2e10, weights=5, activations=5, kv=5, post=4))
    reader = _Latex(symbolic.to_latex(expr), values)
    assert reader.total() == pytest.approx(expected, rel=1e-12)
    assert reader.tokens == []


def test_text_is_no_formula_and_is_not_evaluated(tmp_path):
    """SymPy reads text by evaluating it: a law's words must never get there."""
    trap = tmp_path / "sprung"
    for write in (symbolic.to_vega, symbolic.to_tree):
        with pytest.raises(ValueError, match="not text"):
            write(f"__import__('pathlib').Path({str(trap)!r}).touch() or 1")
    assert not trap.exists()
