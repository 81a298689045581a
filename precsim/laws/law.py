"""What a law is: parts joined by ``|``, evaluated on numbers, arrays, jets and symbols.

A law maps a setting (N, D, bits of each tensor, bits after training) to a predicted loss:

    L = base(N · Π f_N,  D · Π f_D) + Σ degradations

where each factor f says how many effective parameters (or tokens) a low precision leaves, and each degradation
adds the damage of quantizing a trained model. Parts are frozen values; a parameter that is None is still to be
fitted, a number is given.
"""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Self

import numpy as np

from precsim.laws import optima
from precsim.laws.jets import Jet, numeric
from precsim.laws.setting import CONTEXT, Bits, Effective, Number, Setting, Tensor, bits_of


def _positive(f):
    """f itself, NaN where it is not positive: two negative factors must not multiply to a plausible one."""
    if isinstance(f, Jet):
        return Jet(_positive(f.value), f.first, f.second)
    return np.where(f > 0, f, np.nan)[()] if numeric(f) and np.any(np.asarray(f) <= 0) else f


def check_parameter(name: str, value: Any, rule: Mapping[str, Any]) -> None:
    """ValueError unless the value is a finite number of the sign that the rule (`Law.describe`) asks for."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"{name} must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}")
    if rule.get("divides") and number <= 0:
        raise ValueError(f"{name} must be greater than 0, got {number}")
    if rule["positive"] and number < 0:
        raise ValueError(f"{name} must be 0 or more, got {number}")


class Law(ABC):
    """A loss surface; an instance is one law. Its expression is written once, with + - * / ** and exp.

    ``law(N, D, weights=, activations=, kv=, post=)`` is the predicted loss [nats/token]. Bits may be numbers,
    arrays, `Format`s or SymPy symbols; inf (the default) means not quantized. Arguments broadcast.

    Laws compose: ``Chinchilla() | Saturating(Tensor.WEIGHTS) | KumarDegradation()``.

    Examples
    --------
    >>> from precsim.laws import Chinchilla
    >>> law = Chinchilla(E=1.0, A=400.0, B=800.0, alpha=0.5, beta=0.5)
    >>> float(law(1e4, 1e4))
    13.0
    """

    @property
    @abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """The parts in the order in which they were joined."""

    # -- parameters ---------------------------------------------------------------------------------------------
    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter by its name in the whole law, None where it is still to be fitted."""
        return {name: getattr(part, f) for part in self.parts for f, name in part.names.items()}

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the parameters that have no value yet."""
        return tuple(name for name, value in self.parameters.items() if value is None)

    def describe(self, name: str) -> Mapping[str, Any]:
        """Search range (low, high) and sign rule (positive) of one parameter."""
        for part in self.parts:
            for f, flat in part.names.items():
                if flat == name:
                    return part.search(f)
        raise ValueError(f"no parameter {name!r} in this law; it has {', '.join(self.parameters)}")

    def replace(self, **values) -> Law:
        """The same form with some parameters changed (None frees one for fitting)."""
        unknown = set(values) - set(self.parameters)
        if unknown:
            raise ValueError(f"no parameter {sorted(unknown)} in this law; it has {', '.join(self.parameters)}")
        parts = tuple(
            part.with_fields({f: values[name] for f, name in part.names.items() if name in values})
            for part in self.parts
        )
        return parts[0] if isinstance(self, Part) else Composite(parts)

    def blank(self) -> Law:
        """The same form as before any fit: every parameter free, except one that is given by default (b = 0)."""
        return self.replace(**{name: self.describe(name).get("default") for name in self.parameters})

    def __getattr__(self, name: str):
        if not name.startswith("_"):
            parameters = self.parameters
            if name in parameters:
                return parameters[name]
            raise AttributeError(f"{type(self).__name__} has no {name!r}; its parameters are {', '.join(parameters)}")
        raise AttributeError(name)

    @property
    def label(self) -> str:
        """The form in words, without parameters: ``Chinchilla | Saturating(weights)``."""
        return " | ".join(part.title for part in self.parts)

    # -- composition --------------------------------------------------------------------------------------------
    def __or__(self, other: Law) -> Composite:
        if not isinstance(other, Law):
            return NotImplemented
        return Composite(self.parts + other.parts)

    @property
    def base(self) -> Base | None:
        """The part that gives the loss at full precision, if any."""
        return next((p for p in self.parts if isinstance(p, Base)), None)

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The parts that turn N into N_eff or D into D_eff."""
        return tuple(p for p in self.parts if isinstance(p, Factor))

    @property
    def degradations(self) -> tuple[Degradation, ...]:
        """The parts that add to the loss."""
        return tuple(p for p in self.parts if isinstance(p, Degradation))

    # -- evaluation ---------------------------------------------------------------------------------------------
    def __call__(
        self,
        N,
        D,
        *,
        weights: Bits = np.inf,
        activations: Bits = np.inf,
        kv: Bits = np.inf,
        post: Bits = np.inf,
        **context,
    ) -> Any:
        """Predicted loss [nats/token]; a law without a base predicts the added loss δ alone."""
        return self.evaluate(self.setting(N, D, weights=weights, activations=activations, kv=kv, post=post, **context))

    def setting(
        self,
        N,
        D,
        *,
        weights: Bits = np.inf,
        activations: Bits = np.inf,
        kv: Bits = np.inf,
        post: Bits = np.inf,
        **context,
    ) -> Setting:
        """The checked arguments of a call as one value."""
        unknown = set(context) - CONTEXT
        if unknown:
            raise ValueError(
                f"unknown argument {sorted(unknown)}; a law reads weights, activations, kv, post, "
                f"{', '.join(sorted(CONTEXT))}"
            )
        for name, x in (("N", N), ("D", D)):
            if numeric(x) and not np.all(np.asarray(x, dtype=float) > 0):
                raise ValueError(f"{name} must be positive, got {x!r}")
        n, d = (np.asarray(x, dtype=float)[()] if numeric(x) else x for x in (N, D))
        return Setting(n, d, bits_of(weights), bits_of(activations), bits_of(kv), bits_of(post), context)

    def evaluate(self, s: Setting) -> Any:
        """The law at a setting."""
        self._require()
        n, d = self.effective(s)
        total: Any = self.base.loss(n, d) if self.base is not None else 0.0
        for part in self.degradations:
            total = total + part.added(s, n)
        return total

    def effective(self, s: Setting) -> tuple[Any, Any]:
        """(N_eff, D_eff) at a setting: N and D times their factors."""
        n, d = s.N, s.D
        for part in self.factors:
            f = part.factor(s)
            if f is None:
                continue
            f = _positive(f)
            if part.on is Effective.N:
                n = n * f
            else:
                d = d * f
        return n, d

    def n_eff(self, N, D: Number = 1.0, **bits) -> Any:
        """Effective parameters N_eff = N Π f."""
        return self.effective(self.setting(N, D, **bits))[0]

    def delta(
        self,
        N,
        D,
        *,
        weights: Bits = np.inf,
        activations: Bits = np.inf,
        kv: Bits = np.inf,
        post: Bits = np.inf,
        **context,
    ) -> Any:
        """Loss added by the degradation parts alone, δ [nats/token]."""
        s = self.setting(N, D, weights=weights, activations=activations, kv=kv, post=post, **context)
        n, _ = self.effective(s)
        total: Any = 0.0
        for part in self.degradations:
            total = total + part.added(s, n)
        return total

    def gradient(self, N, D, **bits) -> dict[str, Any]:
        """∂L/∂p for every parameter p, by exact differentiation of the expression; same shape as the loss."""
        self._require()
        names = list(self.parameters)
        jets = {name: Jet.variable(self.parameters[name], i) for i, name in enumerate(names)}
        out = self.replace(**jets)(N, D, **bits)
        shape = np.shape(out.value)
        return {name: np.broadcast_to(out.first.get(i, 0.0), shape)[()] for i, name in enumerate(names)}

    def best_bits(self, price=None, *, low: float = 1.0, high: float = 32.0):
        """P* = argmax f(P)/price(P) when every tensor trains at P bits; see `precsim.laws.optima.best_bits`."""
        return optima.best_bits(self, price, low=low, high=high)

    def checked(self) -> Self:
        """The law itself, if every parameter that it has is a finite number of the sign its form needs.

        A law is not checked when it is made, because parameters may be arrays, jets or symbols; what a user or a file
        gives is.

        Raises
        ------
        ValueError
            With the parameter, its value and what would do.

        Examples
        --------
        >>> from precsim.laws import Chinchilla
        >>> Chinchilla(E=-100.0, A=400.0, B=800.0, alpha=0.5, beta=0.5).checked()
        Traceback (most recent call last):
            ...
        ValueError: E must be 0 or more, got -100.0
        """
        for name, value in self.parameters.items():
            if value is not None:
                check_parameter(name, value, self.describe(name))
        return self

    def _require(self):
        free = self.free
        if free:
            raise ValueError(f"{', '.join(free)} have no value yet: fit the law, or pass numbers")

    # -- text ---------------------------------------------------------------------------------------------------
    def to_json(self) -> str:
        """JSON text from which `from_json` makes an equal law; numbers are not rounded."""
        return json.dumps([part.record() for part in self.parts])

    @staticmethod
    def from_json(text: str) -> Law:
        """The law that `to_json` wrote.

        Raises
        ------
        ValueError
            If the text is no JSON list of one or more parts, names a part that there is not, or gives a parameter a
            value of the wrong type, sign or size.
        """
        records = json.loads(text)
        if not isinstance(records, list) or not records or not all(isinstance(r, dict) for r in records):
            raise ValueError(f"a law is written as a list of one or more parts, got {text[:60]!r}")
        parts = tuple(Part.written(r) for r in records)
        law = parts[0] if len(parts) == 1 else Composite(parts)
        return law.checked()


@dataclass(frozen=True)
class Part(Law):
    """One ingredient of a law. Subclasses are frozen dataclasses; `parameter` fields are what a fit estimates."""

    kinds: ClassVar[dict[str, type[Part]]] = {}
    #: Inputs beside N, D and bits that the part reads: names of `precsim.laws.setting.CONTEXT`.
    reads: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Part.kinds[cls.__name__] = cls

    @property
    def parts(self) -> tuple[Part, ...]:
        """The part itself, as the only one."""
        return (self,)

    @property
    def title(self) -> str:
        """Name of this part in a label."""
        tensor, on = getattr(self, "tensor", None), getattr(self, "on", Effective.N)
        inside = ", ".join(([tensor.value] if tensor else []) + (["on D"] if on is Effective.D else []))
        return type(self).__name__ + (f"({inside})" if inside else "")

    @property
    def suffix(self) -> str:
        """What distinguishes this part's parameter names from a twin's; empty where no twin can be."""
        return ""

    @property
    def names(self) -> dict[str, str]:
        """Field name → name in the whole law."""
        return {f.name: f.name + self.suffix for f in dataclasses.fields(self) if "positive" in f.metadata}

    def search(self, name: str) -> Mapping[str, Any]:
        """Search range and sign rule of one of this part's fields."""
        return next(f.metadata for f in dataclasses.fields(self) if f.name == name)

    def with_fields(self, values: Mapping[str, Any]) -> Part:
        """The part with some fields changed."""
        return dataclasses.replace(self, **values) if values else self

    def record(self) -> dict[str, Any]:
        """The part as plain JSON values."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}
        return {"kind": type(self).__name__} | {k: v.name if isinstance(v, Enum) else v for k, v in values.items()}

    @staticmethod
    def written(record: object) -> Part:
        """The part that a record describes, of whichever kind it names; ValueError if it names none."""
        kind = record.get("kind") if isinstance(record, Mapping) else None
        if not isinstance(record, Mapping) or not isinstance(kind, str) or kind not in Part.kinds:
            raise ValueError(f"no part of a law is called {kind!r}; there are {', '.join(sorted(Part.kinds))}")
        return Part.kinds[kind].from_record(record)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Part:
        """The part that `record` described; ValueError for a field that it has not, or lacks, or cannot take."""
        given = {k: v for k, v in record.items() if k != "kind"}
        own = {f.name: f for f in dataclasses.fields(cls) if f.init}
        needed = {n for n, f in own.items() if f.default is f.default_factory is dataclasses.MISSING}
        if set(given) - set(own) or needed - set(given):
            raise ValueError(f"{cls.__name__} has the fields {', '.join(own)}, got {', '.join(given) or 'none'}")
        enums = {"tensor": Tensor, "on": Effective}
        for name, value in given.items():
            if name in enums:
                if not isinstance(value, str) or value not in enums[name].__members__:
                    raise ValueError(f"{name} must be one of {', '.join(enums[name].__members__)}, got {value!r}")
                given[name] = enums[name][value]
            elif own[name].kw_only:  # a unit of the form, such as N0
                check_parameter(name, value, {"positive": True, "divides": True})
        return cls(**given)


class Around(Part):
    """A part around another: it has the parameters of the inner part and its own."""

    inner: Any

    @property
    @abstractmethod
    def names(self) -> dict[str, str]:
        """Those of the inner part and its own, by field."""

    def __getattr__(self, name):
        if "inner" in self.__dict__ and name in self.inner.names:
            return getattr(self.inner, name)
        return super().__getattr__(name)

    def search(self, name: str) -> Mapping[str, Any]:
        """As the inner part, or of this part's own fields."""
        own = {f.name for f in dataclasses.fields(self)}
        return super().search(name) if name in own else self.inner.search(name)

    def with_fields(self, values: Mapping[str, Any]) -> Part:
        """The part with some parameters changed, the inner part's included."""
        own = {k: v for k, v in values.items() if k in {f.name for f in dataclasses.fields(self)}}
        inner = self.inner.with_fields({k: v for k, v in values.items() if k not in own})
        return dataclasses.replace(self, inner=inner, **own)

    def record(self) -> dict[str, Any]:
        """Plain values, the inner part's record inside."""
        return super().record() | {"inner": self.inner.record()}


class Base(Part):
    """Loss at full precision as a function of N and D."""

    @abstractmethod
    def loss(self, N, D) -> Any:
        """L(N, D) at full precision [nats/token]."""


class Factor(Part):
    """Share of the parameters (or tokens) that a low precision leaves, f in (0, 1]."""

    on: Effective

    @abstractmethod
    def factor(self, s: Setting) -> Any:
        """f at a setting, or None where nothing is quantized."""


class Degradation(Part):
    """Loss added to the base, δ ≥ 0.

    `paired` says whether δ is the difference of two evaluations of one trained model (quantized after training, as
    trained) or an effect of the training itself; `amplitude` is the field δ is proportional to, and the sign of its
    power.
    """

    paired: ClassVar[bool] = True
    amplitude: ClassVar[tuple[str, int]]

    @abstractmethod
    def added(self, s: Setting, n_eff) -> Any:
        """Delta at a setting [nats/token]; n_eff is N times the law's factors."""


@dataclass(frozen=True, repr=False)
class Composite(Law):
    """Several parts joined: at most one base, factors with distinct names, degradations.

    Raises ValueError for two bases or for two parts whose parameters have the same name.
    """

    joined: tuple[Part, ...]

    def __post_init__(self):
        if sum(isinstance(p, Base) for p in self.joined) > 1:
            raise ValueError("a law has one base; got " + " and ".join(repr(p) for p in self.joined))
        names = [n for p in self.joined for n in p.names.values()]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"two parts share the parameters {twice}; give them different tensors or placements")

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts in the order in which they were joined."""
        return self.joined

    def __repr__(self):
        return " | ".join(repr(p) for p in self.joined)
