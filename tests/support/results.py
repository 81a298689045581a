"""What the package computes, as hashes and numbers: the same before and after a change that must change no result.

``python tests/support/results.py`` prints one line for each result: a hash of its bits, its name, its numbers. Rounding
and job keys are exact on every machine. Training, fits and plans are bit-equal on one machine: two versions of the
package are compared by running both there (a second checkout, with PYTHONPATH), and on another machine their numbers
agree to many digits. ``tests/reference/results.csv`` holds the lines of the version before the house was built.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd

import precsim as ps
from precsim import laws
from precsim.laws.published import KUMAR_2024
from precsim.planning import HARDWARE

FORMATS = "BF16 FP16 TF32 FP8_E4M3 FP8_E5M2 FP6_E2M3 FP6_E3M2 FP4_E2M1 E8M0 INT4 INT8 INT16".split()
Line = tuple[str, str, tuple[float, ...]]


def sha(*parts: object) -> str:
    """The first 16 digits of the SHA-256 of arrays (their bits) and of other values (their JSON)."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=repr).encode())
    return digest.hexdigest()[:16]


def rounding() -> Iterator[Line]:
    """A million random bit patterns in each mode, and a matrix under four scalings, for each of 12 formats."""
    x = np.random.default_rng(7).integers(0, 2**32, 2**20, dtype=np.uint32).view(np.float32)
    x = x[np.isfinite(x)]
    small = np.random.default_rng(8).standard_normal((512, 512)).astype(np.float32)
    for name in FORMATS:
        fmt = getattr(ps, name)
        digests = []
        for mode in ps.Rounding:
            noise = {"noise": ps.CounterBits(3)} if "STOCH" in mode.name else {}
            try:
                digests.append(sha(ps.round_to(x, fmt, mode, **noise)))
            except (ValueError, TypeError) as refusal:
                digests.append(type(refusal).__name__)
        for scaling in (ps.PerTensor(), ps.PerChannel(axis=-1), ps.PerToken(), ps.PerBlock(32)):
            try:
                digests.append(sha(ps.Quantizer(fmt, scaling)(small)))
            except ValueError as refusal:
                digests.append(type(refusal).__name__)
        yield sha(digests), f"rounding {name}", ()


def plans() -> Iterator[Line]:
    """Ten plans under the paper's law."""
    for compute in (1e20, 1e21, 1e22, 1e23, 1e24):
        for words, hardware in (("by bits", None), ("h100", HARDWARE["h100"])):
            best = ps.plan(KUMAR_2024, compute=compute, hardware=hardware).best
            yield sha(repr(best)), f"plan {words} {compute:g}", (best.N, best.D, best.loss)


def tables() -> Iterator[tuple[str, laws.Law, pd.DataFrame]]:
    """Six forms, and the rows of the open table that they are fitted to."""
    table = ps.load_runs("precsim-2026")
    base = ps.slices.cells(ps.slices.as_trained(table, only=()))
    low = ps.slices.cells(ps.slices.as_trained(table))
    low = low[low["weights"] >= 3]
    after = ps.slices.cells(ps.slices.rounded_after(table))
    yield "chinchilla", laws.Chinchilla(E=0.0), base
    yield "beta of n", laws.BetaOfN(E=0.0), base
    yield "saturating", laws.Chinchilla(E=0.0) | laws.Saturating(laws.WEIGHTS), low
    yield "offset", laws.Chinchilla(E=0.0) | laws.Offset(laws.WEIGHTS), low
    yield "delta", laws.KumarDegradation(), after
    yield "both", laws.Chinchilla(E=0.0) | laws.KumarDegradation(), pd.concat([base, after], ignore_index=True)


def fits() -> Iterator[Line]:
    """Six fits; of two also draws, of one a profile."""
    for name, form, rows in tables():
        found = ps.fit(form, rows, strict=False)
        parameters = dict(found.law.parameters)
        yield sha(parameters, found.status.name), f"fit {name}", tuple(map(float, parameters.values()))
        if name in ("chinchilla", "saturating"):
            draws = ps.bootstrap(found, n=200, rng=np.random.default_rng(1))
            band = ps.interval(draws, lambda law: law(1e6, 1e8))
            yield sha([dict(law.parameters) for law in draws]), f"bootstrap {name}", ()
            yield sha(repr(band)), f"interval {name}", (float(band.low), float(band.high))
        if name == "chinchilla":
            yield sha(repr(ps.profile(found, "alpha"))), "profile alpha", ()


def sweep() -> Iterator[Line]:
    """Twenty jobs: 12 MLPs of two widths and 8 small transformers, rounded after training."""
    low = [ps.Recipe(), ps.Recipe(weights=ps.Quantizer(ps.INT3, ps.PerChannel(axis=-1)))]
    shared = {"recipe": low, "post": (ps.Quantizer(ps.INT4, ps.PerChannel(axis=-1)),)}
    mlps = [ps.models.MLP(8), ps.models.MLP(12)]
    facts = ps.languages.ZipfFacts(vocabulary=16)
    jobs = ps.Job.grid(model=mlps, language=facts, tokens=40_000, seed=range(3), **shared)
    transformer = ps.models.Transformer(width=16, layers=1, block=ps.models.FIRST_EDITION)
    shared |= {"language": ps.languages.Zipfgram(vocabulary=32), "batch_tokens": 1024}
    jobs += ps.Job.grid(model=transformer, tokens=[20_000, 40_000], seed=range(2), **shared)
    yield sha([job.key for job in jobs]), "job keys", ()
    table = ps.sweep(jobs, progress=False).sort_values(["job", "step", "post"])
    for n, (_, row) in enumerate(table.iterrows()):
        numbers = {c: row[c] for c in ("N", "D", "loss", "gap", "delta", "delta_se", "steps")}
        yield sha(numbers), f"sweep {n} {row['job']}", (float(row["loss"]),)


if __name__ == "__main__":
    for group in (rounding, plans, fits, sweep):
        for digest, name, numbers in group():
            sys.stdout.write(f"{digest},{name},{' '.join(map(repr, numbers))}\n")
            sys.stdout.flush()
