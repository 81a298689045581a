"""Which inputs of a plan its law reads, and what becomes of a choice that saves on one that it does not.

To a law that does not read a width, fewer bits cost nothing: a plan would always take the narrowest. So what a law
does not read is held at 16 bits, or the choice is refused by name, unless somebody says that it is free.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from enum import Enum

import numpy as np

from precsim.laws.bend import Bending
from precsim.laws.degradation import ChenDegradation, MixedDegradation, SunPenalty
from precsim.laws.law import Degradation, Law, Part
from precsim.laws.precision import PerScheme
from precsim.laws.setting import Tensor
from precsim.planning.budget import Choice

TRAINED = ("weights", "activations", "kv")
_OPERANDS = frozenset({"weights", "activations"})  # what a scheme or a float format speaks of
_BITS_IN_NAME = re.compile(r"W(\d+)(?:A(\d+))?$")


class Unread(Enum):
    """What a plan does with widths that its law does not read."""

    HELD = "held at 16 bits"
    FREE = "as chosen, at no loss"


def _tensor(part: Part) -> Tensor | None:
    return getattr(getattr(part, "inner", part), "tensor", None)


def read(law: Law) -> frozenset[str]:
    """The widths that a law reads: some of weights, activations, kv (in training) and post (after it).

    Examples
    --------
    >>> from precsim.laws import WEIGHTS, Chinchilla, KumarDegradation, Saturating
    >>> sorted(read(Chinchilla() | Saturating(WEIGHTS) | KumarDegradation()))
    ['post', 'weights']
    """
    found: set[str] = set()
    for part in law.parts:
        if isinstance(part, MixedDegradation):  # it reads a share of the weights, and no width
            continue
        if isinstance(part, Bending):
            found |= {"weights", "post"}
        elif isinstance(part, Degradation) and part.paired:
            found.add("post")
        elif isinstance(getattr(part, "inner", part), (PerScheme, SunPenalty)):
            found |= _OPERANDS
        elif (tensor := _tensor(part)) is not None:
            found |= set(TRAINED) if tensor is Tensor.TIED else {tensor.value}
    return frozenset(found)


def schemes(law: Law) -> tuple[str, ...]:
    """The schemes for which a law has a factor each, in its order; empty for a law of bits."""
    return tuple(s for part in law.parts for s in getattr(getattr(part, "inner", part), "schemes", ()))


def hold(law: Law, choice: Choice) -> Choice:
    """The choice with every trained tensor that the law does not read left at 16 bits.

    Examples
    --------
    >>> from precsim.laws import WEIGHTS, Chinchilla, Saturating
    >>> hold(Chinchilla() | Saturating(WEIGHTS), Choice.tied(4)).label
    'W4A16KV16'
    """
    unread = set(TRAINED) - read(law)
    return replace(choice, **{name: np.inf for name in unread if choice.bits[name] < 16})


def held(law: Law) -> tuple[str, ...]:
    """The trained tensors that the law does not read."""
    return tuple(name for name in TRAINED if name not in read(law))


def unseen(law: Law, choices: Iterable[Choice]) -> tuple[str, ...]:
    """The tensors that these choices quantize in training and whose width the law does not read.

    Examples
    --------
    >>> from precsim.laws import WEIGHTS, Chinchilla, Saturating
    >>> unseen(Chinchilla() | Saturating(WEIGHTS), [Choice.tied(4)])
    ('activations', 'kv')
    """
    low = {name for choice in choices for name in TRAINED if choice.bits[name] < 16}
    return tuple(name for name in held(law) if name in low)


def of_scheme(scheme: str) -> Choice | None:
    """The choice whose widths a scheme's name says, or None for a name that says none.

    Examples
    --------
    >>> of_scheme("W4A8").label, of_scheme("W3").label, of_scheme("RTN")
    ('W4A8KV16 W4A8', 'W3A16KV16 W3', None)
    """
    if (found := _BITS_IN_NAME.match(scheme)) is None:
        return None
    weights, activations = (float(text) if text else np.inf for text in found.groups())
    return Choice(weights, activations, context={"scheme": scheme})


def default_choices(law: Law, widths: Iterable[float]) -> tuple[Choice, ...]:
    """Every tensor that the law reads at one of these widths; for a law of schemes those whose names say their bits."""
    if named := schemes(law):
        return (*(choice for choice in map(of_scheme, named) if choice is not None), Choice())
    return tuple(dict.fromkeys(hold(law, Choice.tied(P)) for P in widths)) if held(law) != TRAINED else (Choice(),)


def refusal(law: Law, choice: Choice, unread: Unread) -> str | None:
    """Why the law cannot price this choice, or None if it can."""
    bits = choice.bits
    strange = set(choice.context) - {name for part in law.parts for name in getattr(part, "inner", part).reads}
    if strange:
        return f"the law does not read {', '.join(sorted(strange))}"
    narrow = {name: bits[name] for name in TRAINED if bits[name] < 16}
    if why := _of_scheme(law, choice, bool(_OPERANDS & set(narrow))):
        return why
    for part in law.parts:
        if why := _of_part(getattr(part, "inner", part), choice, narrow):
            return why
    if unread is Unread.FREE:
        return None
    if free := [name for name in narrow if name in held(law)]:
        said = ", ".join(f"{narrow[name]:g} bits of {name}" for name in free)
        return f"the law does not read {' and '.join(free)}: {said} would cost nothing; leave them at 16 bits"
    if bits["post"] < min(bits["weights"], 16.0) and "post" not in read(law):
        return f"the law does not read the bits after training: {bits['post']:g} would cost nothing"
    return None


def _of_part(part: Part, choice: Choice, narrow: dict[str, float]) -> str | None:
    """What a part that does not read widths as such says to a choice that has narrow ones."""
    if isinstance(part, ChenDegradation):
        tensors = TRAINED if part.tensor is Tensor.TIED else (part.tensor.value,)
        if any(name in tensors and narrow[name] != part.only_bits for name in narrow):
            return f"ChenDegradation knows {part.only_bits:g} bits only and does not read the width"
    operands = [name for name in narrow if name in _OPERANDS]
    if isinstance(part, SunPenalty) and operands:
        if "exponent_bits" not in choice.context:
            return "SunPenalty reads exponent_bits=, significand_bits= and block= of a float, not its width"
        width = 1 + choice.context["exponent_bits"] + choice.context.get("significand_bits", np.nan)
        if any(narrow[name] != width for name in operands):
            return f"a float of the given exponent and significand has {width:g} bits"
    return None


def _of_scheme(law: Law, choice: Choice, narrow: bool) -> str | None:
    """What a law with one factor for each scheme says to a choice."""
    known, scheme = schemes(law), choice.context.get("scheme")
    if known and scheme not in known and (narrow or scheme is not None):
        example = f"Choice(4, 4, context={{'scheme': '{known[0]}'}})"
        return f"the law has a factor for each scheme, not for bits: give one of {', '.join(known)}, as in {example}"
    said = of_scheme(scheme) if scheme in known else None
    pairs = [] if said is None else [(said.bits[name], choice.bits[name]) for name in sorted(_OPERANDS)]
    if any(min(told, 16.0) != min(asked, 16.0) for told, asked in pairs):
        return f"scheme {scheme} has other bits than {choice.label.partition(' ')[0]}"
    return None
