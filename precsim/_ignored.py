"""What the rows of a fit differ in though its law cannot tell: the first thing to look at when residuals are large."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from precsim._observations import Observations
from precsim.laws.composition import Law

_BITS = ("weights", "activations", "kv", "post")
_WORDS = (
    *("post_method", "post_scaling", "post_format", "weights_scaling", "weights_format", "activations_scaling"),
    *("activations_format", "kv_scaling", "kv_format", "schedule", "optimizer", "language"),
)


def ignored(law: Law, data: Observations, runs) -> dict[str, tuple[str, ...]]:
    """Columns by name, with the values that these rows have there, up to the first four.

    A column of bits is ignored where the law predicts the same without it; a column of words always. Formats count as
    equal where they differ in width alone, because laws speak of widths.

    Examples
    --------
    >>> from precsim._observations import read
    >>> from precsim.laws import Chinchilla
    >>> runs = {"N": [1e6, 2e6], "D": [1e8, 1e8], "loss": [3.0, 2.9], "weights": [4.0, np.inf]}
    >>> law = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    >>> ignored(law, read(runs, paired=False), runs)
    {'weights': ('4', 'inf')}
    """
    found: dict[str, tuple[str, ...]] = {}
    names = set(runs.columns if hasattr(runs, "columns") else runs)
    predicted = law.evaluate(data.setting)
    for name in _BITS:
        bits = np.unique(getattr(data.setting, name))
        if bits.size > 1:
            without = law.evaluate(replace(data.setting, **{name: np.full(len(data), np.inf)}))
            if np.array_equal(predicted, without):
                found[name] = tuple(f"{b:g}" for b in bits[:4])
    for name in _WORDS:
        if name in names:
            kinds = r"[A-Z]*" if name.endswith("_format") else r"[^(]*"  # INT of INT4, Cosine of Cosine(…)
            each = {str(word) for word in set(np.asarray(runs[name], dtype=object)[data.row].tolist())}
            words = {re.sub(f"^({kinds}).*", r"\1", word) for word in each} - {"", "none", "nan", "None"}
            if len(words) > 1:
                found[name] = tuple(sorted(words)[:4])
    return found


def sentence(columns: dict[str, tuple[str, ...]]) -> str:
    """The same in words."""
    each = ", ".join(f"{name} ({', '.join(values)})" for name, values in columns.items())
    return f"rows differ in {each}, which this form does not know"
