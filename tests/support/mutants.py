"""Small changes to the code that some test must notice: ``make mutants``.

Each mutant replaces one piece of source in a temporary copy of the package and runs the tests that speak of it; it is
caught if one of them fails. What survives is printed, and the command then ends with 1: either a test is missing, or
the change makes no difference, which is then a reason to write beside it in `MUTANTS`.

``python tests/support/mutants.py [WORD]`` runs those whose file or description has the word.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutant:
    """One change: in which file, what becomes what, and the tests that are to fail."""

    file: str
    old: str
    new: str
    tests: str

    def __str__(self) -> str:
        return f"{self.file}: {self.old!r} -> {self.new!r}"


def _of(file: str, tests: str, *changes: tuple[str, str]) -> list[Mutant]:
    return [Mutant(f"precsim/{file}.py", old, new, tests) for old, new in changes]


_LEVELS = "tests/fitting/test_levels.py"
_ROWS = "tests/fitting/test_rows.py"

MUTANTS: list[Mutant] = [
    *_of(
        "fitting/uncertainty",
        f"{_LEVELS} -k tails_of_an_interval",
        (
            "tail = 50 * (1 - level)\n    low, high = np.percentile(values",
            "tail = 100 * (1 - level)\n    low, high = np.percentile(values",
        ),
    ),
    *_of(
        "fitting/uncertainty",
        f"{_LEVELS} -k prediction",
        ("tail = 50 * (1 - level)\n    return tuple", "tail = 100 * (1 - level)\n    return tuple"),
        ("[tail, 100 - tail], axis=0", "[tail, 100], axis=0"),
    ),
    *_of(
        "fitting/uncertainty",
        f"{_LEVELS} -k residuals_of_runs",
        ("values * np.exp(rng.choice", "values + np.exp(rng.choice"),
    ),
    *_of(
        "fitting/uncertainty",
        f"{_LEVELS} -k profile",
        ("inv_cdf(0.5 + level / 2)", "inv_cdf(level)"),
        ("(len(r) - len(centre))", "len(r)"),
        ("excess = 2 * (least", "excess = (least"),
    ),
    *_of(
        "fitting/uncertainty",
        f"{_LEVELS} -k resamples_are",
        ("counts[:, place] * stage.observations.weight", "counts[:, place] * 1.0"),
    ),
    *_of(
        "fitting/uncertainty",
        f"{_ROWS} -k searched_anew",
        ("if not rescan and (lost", "if rescan and (lost"),
    ),
    *_of(
        "fitting/uncertainty",
        "tests/fitting/test_uncertainty.py -k clusters",
        ("labels = _labels(fit, by)", "labels = _labels(fit, None)"),
    ),
    *_of(
        "fitting/stage",
        f"{_LEVELS} -k standard_error",
        ("max(len(w) - len(theta[0]), 1)", "len(w)"),
        ("psi = np.clip(self.residuals, -self.delta, self.delta) * w", "psi = 2 * self.residuals * w"),
    ),
    *_of(
        "fitting/stage",
        f"{_LEVELS} -k 'r2 or 1_345'",
        ("_MAD = 1.4826", "_MAD = 1.0"),
        ("1 - (w * self.res", "(w * self.res"),
    ),
    *_of("fitting/fits", f"{_LEVELS} -k 1_345", ("_HUBER = 1.345", "_HUBER = 2.69")),
    *_of(
        "fitting/fits",
        f"{_LEVELS} -k basin",
        ("direct = polish(theta, delta, patience", "direct = polish(theta, 100 * delta, patience"),
    ),
    *_of("fitting/fits", f"{_ROWS} -k 'two_values'", ("_OPEN = 1.0", "_OPEN = 10.0")),
    *_of("fitting/fits", f"{_ROWS} -k 'worse_than'", ("if s.r2 < 0:", "if s.r2 < -1e9:")),
    *_of("fitting/fits", f"{_ROWS} -k 'further_settings'", ("settings <= len(s.names)", "settings < 0")),
    *_of("fitting/fits", "tests/fitting/test_fits.py -k floor_is_not", ("value < 1e-4 * low", "value < 0 * low")),
    *_of("fitting/fits", "tests/fitting/test_fits.py -k excess", ("form = form.replace(E=0.0)", "pass")),
    *_of(
        "fitting/objective",
        f"{_LEVELS} -k 'hubers or weighted_mean'",
        ("delta * (a - 0.5 * delta))).sum(-1)\n            share", "delta * (a - delta))).sum(-1)\n            share"),
        ("np.minimum(1.0, delta / np.maximum(a, 1e-300))", "np.minimum(1.0, 2 * delta / np.maximum(a, 1e-300))"),
        ("inside = a <= delta", "inside = a <= 2 * delta"),
        ("share = weight * np.minimum", "share = np.minimum"),
    ),
    *_of(
        "fitting/objective",
        "tests/fitting/test_schemes.py -k derivatives",
        ("H[:, i] += sums", "H[:, i] += 0"),
        ("own.each(w * mine * mine, p)", "own.each(w * mine, p)"),
        ("gradient[:, plain] +=", "gradient[:, plain] -="),
    ),
    *_of(
        "fitting/observations",
        _ROWS + " -k counted",
        ("step != steps", "step != step"),
        ('("holdout", "held out")', '("holdout_", "held out")'),
    ),
    *_of(
        "fitting/observations",
        _ROWS + " -k 'units or plausible'",
        ('(D, "D", 1e4)', '(D, "D", 0)'),
        ('(N, "N", 1e3)', '(N, "N", 0)'),
        ("not 0.1 <= ratio", "not 0.0 <= ratio"),
    ),
    *_of(
        "fitting/observations",
        _ROWS + " -k copies",
        ("weight = np.bincount(first, weight[row], minlength=n)", "weight = weight * 1"),
        ("row = row[first == row]", "row = row[row >= 0]"),
    ),
    *_of(
        "fitting/noise",
        _ROWS + " -k 'repeats or methods or bad or pair'",
        ("several.size < 3", "several.size < 1"),
        ("/ (count[least] - 1)", "/ count[least]"),
        ("np.median(squares[least]", "np.max(squares[least]"),
        ('"seed" in name.casefold()', '"method" in name.casefold()'),
    ),
    *_of(
        "fitting/comparison",
        f"{_LEVELS} -k score",
        ("tail = 50 * (1 - asked.level)", "tail = 100 * (1 - asked.level)"),
        ("+ p * np.log(len(r))", "+ 2 * p"),
        ("np.sqrt(np.mean(r**2))", "np.mean(np.abs(r))"),
    ),
    *_of(
        "fitting/comparison",
        "tests/fitting/test_comparison.py -k 'refuses or further_out or stage or factors'",
        ("and self.fit.status not in _UNUSABLE", ""),
        ("parts.replace(**{k: v", "parts.blank().replace(**{} and {k: v"),
    ),
    *_of(
        "fitting/splits",
        "tests/fitting/test_comparison.py -k origin",
        ("ORIGINS = (0.2, 0.3, 0.4, 0.5)", "ORIGINS = (0.3,)"),
    ),
    *_of(
        "laws/precision",
        f"{_LEVELS} -k drifts",
        ("** -self.drift_N", "** self.drift_N"),
        ("self.D0) ** self.drift_D", "self.D0) ** -self.drift_D"),
    ),
    *_of(
        "runs/columns",
        _ROWS + " -k 'flag or near_miss or empty or counted'",
        (
            '_NO = frozenset({"false", "f", "no", "n", "0", "0.0", ""})',
            '_NO = frozenset({"false", "f", "0", "0.0", ""})',
        ),
        ("out[i] = True", "out[i] = False"),
        ("likely[meant] = near", "pass"),
    ),
    *_of(
        "runs/reading",
        "tests/runs/test_reading.py -k 'errors_name'",
        ("if len(row) != len(names):", "if len(row) > len(names):"),
    ),
    *_of(
        "planning/plans",
        "tests/planning/test_brute_force.py",
        ('cache = kv_bytes * min(choice.bits["kv"], 16.0) / 16', "cache = kv_bytes"),
        ("max(memory - cache, 0.0) / each", "max(memory, 0.0) / each"),
        ("if best.D < allowed * (1 - 1e-6):", "if best.D < allowed * 0.5:"),
        ("<= best.loss + tolerance)", "<= best.loss + 3 * tolerance)"),
        ("max(needed[row.place] / budget.flops - 1, 0.0)", "max(needed[row.place] / budget.flops, 0.0)"),
    ),
    *_of(
        "planning/plans",
        "tests/planning/test_plans.py -k 'draw_by_draw'",
        ("tail = 50 * (1 - level)", "tail = 100 * (1 - level)"),
        ("np.maximum(flops / budget.flops - 1, 0.0)", "np.maximum(flops / budget.flops, 0.0)"),
    ),
    *_of(
        "planning/search",
        "tests/planning/test_brute_force.py",
        ("np.flatnonzero(self.slope(end, N, i) > 0)", "np.flatnonzero(self.slope(end, N, i) > 1e9)"),
        ("most = np.minimum(most, self.most_tokens)", "most = most * 1.0"),
    ),
    *_of(
        "planning/search",
        "tests/planning/test_plans.py -k 'equal_the_best'",
        ("sharp = max(accuracy, 1e-7)", "sharp = max(accuracy, 1e-5)"),
    ),
    *_of(
        "planning/hardware",
        "tests/planning -k 'hardware or price or width'",
        ("able = [w for w in self.peak if w >= bits]", "able = [w for w in self.peak if w > bits]"),
    ),
    *_of(
        "planning/budget",
        "tests/planning/test_plans.py -k memory_holds",
        (
            "return None if self.expert_share is None else 1 + (experts - 1)",
            "return None if self.expert_share is None else experts",
        ),
    ),
    *_of(
        "fitting/gap",
        "tests/fitting/test_gap.py",
        ("ttest_rel(a, b).confidence_interval(level)", "ttest_rel(a, b).confidence_interval(0.9)"),
        ("ttest_ind(a, b, equal_var=False)", "ttest_ind(a, b, equal_var=True)"),
        ("for nats in (mean, high, low)", "for nats in (mean, low, high)"),
        ("set(mine) <= set(theirs)", "set(theirs) <= set(mine)"),
        ("data.reading.used - alone", "data.reading.used"),
        ("partner = dict(zip(theirs, full, strict=True))", "partner = dict(zip(theirs, full[::-1], strict=True))"),
    ),
    *_of(
        "fitting/comparison",
        "tests/fitting/test_comparison.py",
        ("outdone = bool(unasked) or any(beaten(best, i) for i in refused)", "outdone = bool(unasked)"),
        ("outdone = bool(unasked) or any(", "outdone = any("),
        ("s.unasked and s.bic < scores[best].bic", "s.unasked"),
        ("np.isfinite(s.held_out) and not beaten(i, best)", "np.isfinite(s.held_out)"),
    ),
    *_of(
        "fitting/uncertainty",
        "tests/fitting/test_uncertainty.py -k profile",
        ("excess = 2 * (least - floor) / noise", "excess = 2 * (least - stage.objective) / noise"),
        ("middle = points // 2 if floor == stage.objective else", "middle = points // 2 if True else"),
    ),
    *_of(
        "planning/serving",
        "tests/planning/test_serving.py",
        ("return self.N * choice.serving / 8", "return self.N * choice.serving / 4"),
        ('bits = min(choice.bits["kv"], 16.0)', "bits = 16.0"),
    ),
    *_of(
        "laws/bend",
        "tests/laws/test_bend.py",
        ("return 1.0 / (1.0 + v / self.K_bend)", "return 1.0 + 0.0 * v"),
        ("replace(s, weights=np.inf, post=s.weights)", "replace(s, weights=np.inf, post=s.weights - 1)"),
        ("log(1.0 + v / self.K_bend)", "log(1.0 + 2 * v / self.K_bend)"),
        ("** -self.exponent", "** self.exponent"),
        ("return self.p_bend * self.gap(v, s) / v", "return self.gap(v, s) / v"),
    ),
    *_of(
        "laws/ridge",
        "tests/laws/test_ridge.py",
        ("theta / mu * r * r", "theta * r * r"),
        ("np.where(off == 0, curvature(inside), 0.0)", "0.0 * u"),
        ("off * slope(inside) if np.any(off)", "0.0 * slope(inside) if np.any(off)"),
    ),
    *_of(
        "laws/reported",
        "tests/laws/test_reported.py",
        ("(1.0 - _first(whole, 0) / slope)", "(_first(whole, 0) / slope)"),
        ("_first(whole, 1) - _first(alone, 1)", "_first(whole, 1)"),
    ),
    *_of(
        "evidence/editions",
        "tests/evidence/test_editions.py",
        ('rows.drop_duplicates("job").iloc[::-1]', 'rows.drop_duplicates("job")'),
        ('block["weight_decay"].eq(0)', 'block["weight_decay"].gt(0)'),
        ("< 0.01, even", "< 1e-9, even"),
    ),
    *_of(
        "evidence/claims",
        "tests/book/test_claims.py",
        ("for this in (one, _without_intervals(one)):", "for this in (one,):"),
        ("if one.name not in SHARED:", "if one.name in SHARED:"),
        ("gamma_post C_T alpha", "gamma_post alpha"),
    ),
    *_of(
        "evidence/sureness",
        "tests/evidence/test_sureness.py",
        ('_half(one - each["standard", N])', "_half(one)"),
        ("_half(one.to_numpy()) / one.mean()", "_half(one.to_numpy())"),
    ),
    *_of(
        "evidence/bend",
        "tests/evidence/test_bend.py",
        ("lambda g, K: K * np.expm1(g / K)", "lambda g, K: g"),
        ('(found["se"] < 0.2)', '(found["se"] < 2.0)'),
        ("np.prod(1 + alone", "np.sum(1 + alone"),
    ),
    *_of(
        "symbolic/tails",
        "tests/symbolic/test_tails.py",
        ("two - 2 * c * one + c * c * zero", "two - c * one + c * c * zero"),
        ("scale = (sp.simplify(beyond * y**nu) * n)", "scale = (sp.simplify(beyond * y**nu) / n)"),
    ),
    *_of(
        "training/ptq/annealed_student",
        "tests/training/ptq/test_annealed_student.py",
        ("(1 + np.cos(np.pi * t / steps)) / 2", "1.0"),
    ),
    *_of(
        "symbolic/emergence",
        "tests/symbolic/test_emergence.py",
        ("p * (1 - nu) * h - (1 - p) * nu * h", "p * nu * h - (1 - p) * (1 - nu) * h"),
        ("K * (rho - 1 - sp.log(rho))", "K * (rho - 1 - 2 * sp.log(rho))"),
        ("together = sp.simplify(K * sp.log(1 + total / K))", "together = sp.simplify(2 * K * sp.log(1 + total / K))"),
        ("reported = sp.Eq(u * (f**-alpha - 1), gap())", "reported = sp.Eq(u * (f**alpha - 1), gap())"),
    ),
]


def caught(mutant: Mutant, copy: Path) -> bool:
    """Whether a test fails in the copy with this change; the copy is as before afterwards."""
    path = copy / mutant.file
    source = path.read_text(encoding="utf-8")
    if source.count(mutant.old) != 1:
        raise ValueError(f"{mutant}: {source.count(mutant.old)} places; a mutant changes one")
    path.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")
    words = [w.strip("'") for w in mutant.tests.split(" -k ")]
    select = ["-k", words[1]] if len(words) > 1 else []
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:benchmark", "-m", "not slow", words[0], *select],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    path.write_text(source, encoding="utf-8")
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{mutant}: pytest ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 1


def main(word: str = "") -> int:
    """Run the mutants that have the word; 1 if some survive."""
    some = [m for m in MUTANTS if word in str(m)]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for name in ("precsim", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        for mutant in some:
            found = caught(mutant, copy)
            survivors += [] if found else [mutant]
            sys.stdout.write(f"{'caught  ' if found else 'SURVIVED'}  {mutant}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(some) - len(survivors)} of {len(some)} mutants caught\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
