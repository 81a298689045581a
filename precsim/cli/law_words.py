"""Laws on the command line: ``chinchilla+saturating:weights+kumar``, a published name, or a file written by fit."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from precsim import laws
from precsim.cli.printing import columns
from precsim.fitting.uncertainty import Draws
from precsim.laws import Effective, Law, Tensor
from precsim.laws.law import check_parameter
from precsim.laws.published import CATALOG, Published
from precsim.laws.region import Region

_TENSORS = {tensor.value: tensor for tensor in Tensor}
_ON = {"N": Effective.N, "D": Effective.D}

_PLAIN: dict[str, Callable[[], Law]] = {
    "chinchilla": laws.Chinchilla,
    "tied": laws.Tied,
    "outer": laws.OuterExponent,
    "beta-of-n": laws.BetaOfN,
    "kaplan": laws.Kaplan,
    "frontier": laws.Frontier,
    "kumar": laws.KumarDegradation,
    "robust": laws.RobustDegradation,
    "ouyang": laws.OuyangDegradation,
    "second-order": laws.SecondOrderDegradation,
    "sun": laws.SunPenalty,
    "mixed": laws.MixedDegradation,
    "phase": laws.QuantizedPhase,
}
_OF_CONTEXT: dict[str, Callable[[], Law]] = {
    "repeated-tokens": laws.RepeatedTokens,
    "excess-parameters": laws.ExcessParameters,
    "experts": laws.Experts,
    "experts-data": lambda: laws.Experts(on=Effective.D),
}
_BENT: dict[str, Callable[[laws.Degradation], Law]] = {
    "bent": laws.Bent,
    "bent-power": laws.BentPower,
    "bent-ridge": laws.BentRidge,
}
_WRAPPERS = ("drifting", *_BENT)  # of another part, which is not wrapped itself
_OF_A_TENSOR: dict[str, Callable[..., Law]] = {
    "saturating": laws.Saturating,
    "plain": laws.Plain,
    "offset": laws.Offset,
    "powered": laws.Powered,
    "gaussian": laws.GaussianCapacity,
}

WORDS = f"""a law is written as parts joined by +
  bases         {", ".join(list(_PLAIN)[:6])}
  factors       {", ".join(_OF_A_TENSOR)}, each with a tensor: saturating:weights
                tensors: {", ".join(_TENSORS)}; acting on the tokens instead of the parameters: saturating:weights:D
                per-scheme:W4A4,W8A8; any factor with drift: drifting:saturating:weights
                of further columns: {", ".join(_OF_CONTEXT)}
  degradations  {", ".join(list(_PLAIN)[6:])}, chen:TENSOR
                any δ of rounding afterwards, bent for training: bent:second-order, bent-power:…, bent-ridge:…
or the name of a published law (precsim plan --laws), or the path of a .json file that fit has written"""


def slug(name: str) -> str:
    """The name of a published law on the command line.

    Examples
    --------
    >>> slug("Kumar 2024, main-text form")
    'kumar-2024-main-text-form'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def published() -> dict[str, Published]:
    """The catalog by the names of the command line."""
    return {slug(entry.name): entry for entry in CATALOG}


class _Laws(argparse.Action):
    """An option that prints how laws are written, and ends the command."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        rows = [{"name": name, "source": entry.source, "form": entry.law.label} for name, entry in published().items()]
        print(f"{WORDS}\n\n{columns(rows)}")
        parser.exit(0)


def laws_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--laws``, which explains what ``--law`` takes."""
    parser.add_argument("--laws", action=_Laws, nargs=0, help="print how laws are written and which are published")


def form(text: str) -> Law:
    """The law that a text describes: a composition, a published name, or a file.

    Raises
    ------
    ValueError
        With the part that was not understood and the words that would be.

    Examples
    --------
    >>> form("chinchilla+saturating:weights+kumar").label
    'Chinchilla | Saturating(weights) | KumarDegradation'
    >>> form("kumar-2024").E
    2.7648
    """
    if text.endswith(".json"):
        return read(text)[0]
    if text in published():
        return published()[text].law
    parts = [_part(word, text) for word in text.split("+")]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole | part
    return whole


def _part(word: str, text: str) -> Law:
    name, *rest = word.strip().split(":")
    if name in _PLAIN or name in _OF_CONTEXT:
        if rest:
            raise ValueError(f"{name} takes nothing after it, got {word!r} in {text!r}")
        return (_PLAIN | _OF_CONTEXT)[name]()
    if name in _OF_A_TENSOR:
        tensor, on = _tensor(rest, word), _on(rest[1:], word)
        return _OF_A_TENSOR[name](tensor, on=on)
    if name == "chen":
        if len(rest) > 1:
            raise ValueError(f"chen takes one tensor, as in chen:tied; got {word!r}")
        return laws.ChenDegradation(_tensor(rest, word))
    if name == "per-scheme":
        schemes = tuple(s for s in rest[0].split(",") if s) if rest else ()
        if not schemes:
            raise ValueError(f"per-scheme needs the schemes of the table, as in per-scheme:W4A4,W8A8; got {word!r}")
        return laws.PerScheme(schemes, on=_on(rest[1:], word))
    if name == "drifting":
        inner = _part(":".join(rest), text) if rest and rest[0] not in _WRAPPERS else None
        if not isinstance(inner, laws.Factor):
            raise ValueError(f"drifting needs a factor, as in drifting:saturating:weights; got {_short(word)!r}")
        return laws.Drifting(inner)
    if name in _BENT:
        inner = _part(":".join(rest), text) if rest and rest[0] not in _WRAPPERS else None
        if not isinstance(inner, laws.Degradation) or not inner.paired:
            raise ValueError(
                f"{name} needs a degradation after training, as in {name}:second-order; got {_short(word)!r}"
            )
        return _BENT[name](inner)
    raise ValueError(f"{word!r} in {text!r} is no part of a law; {WORDS}")


def _short(word: str) -> str:
    return word if len(word) < 80 else f"{word[:60]}…"


def _tensor(rest: list[str], word: str) -> Tensor:
    if not rest or rest[0] not in _TENSORS:
        raise ValueError(f"{word!r} needs a tensor: {word.split(':')[0]}:weights (or {', '.join(list(_TENSORS)[1:])})")
    return _TENSORS[rest[0]]


def _on(rest: list[str], word: str) -> Effective:
    if not rest:
        return Effective.N
    if len(rest) > 1 or rest[0] not in _ON:
        raise ValueError(f"after the tensor, {word!r} may have :N (parameters) or :D (tokens) only")
    return _ON[rest[0]]


def read(path: str | Path) -> tuple[Law, Draws | None]:
    """The law in a file of JSON, and its bootstrap draws if the file has them.

    Raises
    ------
    ValueError
        If the file is neither the output of ``precsim fit --json`` nor that of `Law.to_json`.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        parts = record["law"] if isinstance(record, dict) else record
        if not parts:
            raise ValueError("it has no parts")
        law = Law.from_json(json.dumps(parts))
        values = record.get("draws") if isinstance(record, dict) else None
        return law, draws(law, values, record["interval"]["method"]) if values else None
    except OSError as failure:
        raise ValueError(f"there is no file {path}: {failure.strerror or failure}") from None
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError) as failure:
        raise ValueError(
            f"{path} holds no law ({type(failure).__name__}: {failure}); use the output of precsim fit --json"
        ) from None


def region(text: str) -> Region | None:
    """Where the law that a text describes was learned, if its file or the catalog says it."""
    if not text.endswith(".json"):
        entry = published().get(text)
        return entry.runs if entry else None
    record = json.loads(Path(text).read_text(encoding="utf-8"))
    runs = record.get("runs") if isinstance(record, dict) else None
    try:
        return Region(**{name: (float(low), float(high)) for name, (low, high) in runs.items()}) if runs else None
    except (TypeError, ValueError, AttributeError) as failure:
        raise ValueError(f"runs in {text} must hold a range of N, of D and of per_parameter: {failure}") from None


def believed(text: str, fix: Iterable[str] | None) -> tuple[Law, Draws | None]:
    """A law to decide by: its parameters, and the draws of those that are not fixed, if it comes from a fit with draws.

    Parameters
    ----------
    text : str
        What ``--law`` says: a published name, or a file.
    fix : iterable of str, optional
        ``name=value`` pairs.

    Raises
    ------
    ValueError
        If a parameter has no value, or one that it cannot have.
    """
    law, drawn = read(text) if text.endswith(".json") else (form(text), None)
    fixed = assignments(fix)
    law = law.replace(**fixed).checked()
    if law.free:
        raise ValueError(f"{', '.join(law.free)} have no value: fit the law first (precsim fit --save), or --fix them")
    left = {} if drawn is None else {name: values for name, values in drawn.values.items() if name not in fixed}
    return law, Draws(law, left, drawn.failed, drawn.method) if drawn is not None and left else None


def draws(law: Law, values: dict[str, list[float]], method: str) -> Draws:
    """Draws from a file: lists of equal length, one for each estimated parameter; `method` made them."""
    arrays = {name: np.asarray(v, dtype=float) for name, v in values.items()}
    unknown = set(arrays) - set(law.parameters)
    if (
        unknown
        or len({a.shape for a in arrays.values()}) != 1
        or not all(a.ndim == 1 and a.size for a in arrays.values())
    ):
        raise ValueError(f"draws must be lists of one length for {', '.join(law.parameters)}")
    for name, array in arrays.items():
        check_parameter(
            f"the draws of {name}", array[np.argmin(array)] if np.isfinite(array).all() else np.nan, law.describe(name)
        )
    return Draws(law, arrays, method=method)


def assignments(texts: Iterable[str] | None) -> dict[str, float]:
    """``name=value`` pairs as a mapping.

    Examples
    --------
    >>> assignments(["E=0", "alpha=0.5"])
    {'E': 0.0, 'alpha': 0.5}
    """
    found: dict[str, float] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        number = _number(value)
        if not equals or number is None:
            raise ValueError(f"a fixed parameter is written name=value, as in E=0; got {text!r}")
        found[name.strip()] = number
    return found


def ties(texts: Iterable[str] | None) -> list[tuple[str, str]]:
    """``a=b`` pairs: the second follows the first."""
    pairs = []
    for text in texts or ():
        first, equals, second = (word.strip() for word in text.partition("="))
        if not (first and equals and second) or _number(second) is not None:
            raise ValueError(f"a tie is written alpha=beta, two names of parameters; got {text!r}")
        pairs.append((first, second))
    return pairs


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
