"""Values of a grid file as the objects of a Job: each reader returns the alternatives that the value stands for."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import math
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from precsim.cli.positions import Position
from precsim.models import FIRST_EDITION, MLP, STANDARD, Block, Transformer, training_recipes
from precsim.models.recipes import Fitted, Learned, Rotated
from precsim.numerics.formats import NAMED, Format
from precsim.numerics.quantize import (
    MXFP4,
    MXFP6,
    MXFP8,
    MXINT8,
    NF4,
    NF4_DOUBLE,
    NVFP4,
    DoubleBlock,
    PerBlock,
    PerChannel,
    PerTensor,
    PerToken,
    Quantizer,
    TwoLevel,
)
from precsim.numerics.rounding import Rounding
from precsim.training.job import Job, PerLayer, Recipe
from precsim.training.languages.synthetic import KingJames, ZipfFacts, Zipfgram
from precsim.training.optimizers import SGD, AdamW, Constant, Cosine, Linear, Warmup, WarmupStableDecay
from precsim.training.ptq import AWQ, GPTQ, RTN, Post, Sample

T = TypeVar("T")
Reader = Callable[[object, Position], list]

MOST_ALTERNATIVES = 1_000_000
_WHOLE = 2**53  # beyond it a float skips integers
# Counts that decide how much is built before a job can be refused
_LIMITS = {
    "layers": 1000,
    "order": 8,
    "vocabulary": 2**20,
    "width": 2**20,
    "head_width": 2**20,
    "window": 2**20,
    "sequences": 2**20,
    "steps": 10_000,
    "size": 2**20,
    "exponent_bits": 11,
    "precision": 53,
    "bias": 2000,
    "rotate": 2**16,
    "block": 2**20,
}

# Scalar types as annotations name them: what a file may hold, and how a refusal calls it
_SCALARS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "int": (int, "an integer"),
    "float": ((int, float), "a number"),
    "str": (str, "a word in quotes"),
    "bool": (bool, "true or false"),
}

_KINDS: dict[str, dict[str, type]] = {
    "model": {"mlp": MLP, "transformer": Transformer},
    "language": {"zipfgram": Zipfgram, "zipf-facts": ZipfFacts, "king-james": KingJames},
    "schedule": {"cosine": Cosine, "linear": Linear, "constant": Constant, "warmup-stable-decay": WarmupStableDecay},
    "optimizer": {"adamw": AdamW, "sgd": SGD},
    "sample": {"held-out": Sample},
    "warmup": {"linear": Warmup},
    "scaling": {
        "per-tensor": PerTensor,
        "per-channel": PerChannel,
        "per-token": PerToken,
        "per-block": PerBlock,
        "two-level": TwoLevel,
        "double-block": DoubleBlock,
    },
    "method": {"rtn": RTN, "gptq": GPTQ, "awq": AWQ},
}
_QUANTIZERS = {"MXFP8": MXFP8, "MXFP6": MXFP6, "MXFP4": MXFP4, "MXINT8": MXINT8, "NVFP4": NVFP4}
_QUANTIZERS |= {"NF4": NF4, "NF4_DOUBLE": NF4_DOUBLE}
_FORMATS = {format.name: format for format in NAMED}
_BLOCKS = {"standard": STANDARD, "first-edition": FIRST_EDITION}
_TRAINING = {name.replace("_", "-"): getattr(training_recipes, name) for name in training_recipes.__all__}
_STYLES = {"kumar": PerTensor(), "per-token": PerToken()}  # what the two named recipes do with activations
_AFTER_TRAINING = ("weights", "activations", "kv")  # what is quantized after training
# what is rounded in training; the backward pass has rules of its own in the named training recipes alone
_RECIPE = {f.name: str(f.type) for f in dataclasses.fields(Recipe) if f.name != "backward"}


def several(reader: Reader, value: object, position: Position) -> list:
    """A list as alternatives, anything else as one value (which may itself stand for several)."""
    if not isinstance(value, list):
        return reader(value, position)
    if not value:
        position.fail("the list of alternatives is empty")
    found = []
    for n, item in enumerate(value):
        if isinstance(item, list):
            position.fail("a list of lists is for post and looks only")
        found += reader(item, position.into(n))
        _few(len(found), position)
    return found


def _few(count: int, position: Position) -> None:
    if count > MOST_ALTERNATIVES:
        position.fail(f"more than {MOST_ALTERNATIVES:,} alternatives; use several grids")


def products(choices: dict[str, list], position: Position) -> Iterable[dict[str, Any]]:
    """Every combination, the last key changing fastest."""
    _few(math.prod(map(len, choices.values())), position)
    return (dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values()))


def scalar(kind: str) -> Reader:
    """A reader of integers ("int"), numbers ("float"), words ("str") or true and false ("bool"), as annotations say."""
    accepted, wanted = _SCALARS[kind]

    def read(value: object, position: Position) -> list:
        if not isinstance(value, accepted) or isinstance(value, bool) != (kind == "bool"):  # a bool is an int, too
            position.fail(f"must be {wanted}, not {_shown(value)}")
        if isinstance(value, float) and not math.isfinite(value):
            position.fail(f"must be a finite number, not {value}")
        if isinstance(value, int):
            most = _LIMITS.get(str(position.path[-1]), _WHOLE) if kind == "int" else sys.float_info.max
            if abs(value) > most:
                position.fail(f"must be at most {most:,}, not {value if abs(value) < 10**30 else 'a longer number'}")
        return [float(value) if kind == "float" and isinstance(value, int) else value]

    return read


def chosen(kind: type[enum.Enum]) -> Reader:
    """A reader of the members of an enum by their names, small letters and hyphens."""
    words = {name.lower().replace("_", "-"): member for name, member in kind.__members__.items()}

    def read(value: object, position: Position) -> list:
        if not isinstance(value, str) or value not in words:
            position.fail(f"must be one of {', '.join(words)}, not {_shown(value)}")
        return [words[value]]

    return read


def kind_of(what: str) -> Reader:
    """A reader of a word ("cosine") or a table ({kind = "cosine", final = 0.1}) whose lists are alternatives."""
    kinds = _KINDS[what]

    def read(value: object, position: Position) -> list:
        if isinstance(value, str):
            value = {"kind": value}
        if not isinstance(value, dict):
            position.fail(f"must be a word or a table with kind = one of {', '.join(kinds)}; not {_shown(value)}")
        word = value.get("kind", next(iter(kinds)) if len(kinds) == 1 else None)
        if not isinstance(word, str) or word not in kinds:
            position.into("kind").fail(f"must be one of {', '.join(kinds)}, not {_shown(word)}")
        return _built(kinds[word], {k: v for k, v in value.items() if k != "kind"}, position)

    return read


def _built(cls: type, given: dict[str, Any], position: Position) -> list:
    fields = {f.name: f for f in dataclasses.fields(cls)}
    known(given, fields, position)
    choices = {
        name: several(_field_reader(cls, str(fields[name].type), name), value, position.into(name))
        for name, value in given.items()
    }
    return [made(cls, position, **values) for values in products(choices, position)]


def _field_reader(cls: type, annotation: str, name: str) -> Reader:
    """The reader for a field of a class, from its annotation: an object, a format, an enum or a scalar."""
    if name in _KINDS:
        return kind_of(name)
    first = annotation.partition(" ")[0]
    if first == "Format" or name in ("inner", "products"):
        return _format
    kind = getattr(sys.modules[cls.__module__], first, None)
    if kind is Block:
        return _block
    return chosen(kind) if isinstance(kind, type) and issubclass(kind, enum.Enum) else scalar(first)


def _block(value: object, position: Position) -> list:
    """What a layer is besides its matrices: "standard", "first-edition", or a table of what differs from standard."""
    if isinstance(value, dict):
        return _built(Block, value, position)
    if not isinstance(value, str) or value not in _BLOCKS:
        position.fail(f"must be {' or '.join(_BLOCKS)}, or a table {{query_key_norm = true}}; not {_shown(value)}")
    return [_BLOCKS[value]]


def known(given: Iterable[str], names: Iterable[str], position: Position) -> None:
    """Refuse keys that are not among the names."""
    for key in given:
        if key not in set(names):
            position.into(key).fail(f"no such key; there are {', '.join(names)}")


def made(cls: Callable[..., T], position: Position, **values: object) -> T:
    """The object, or its own refusal at the position."""
    try:
        return cls(**values)
    except (ValueError, TypeError, OverflowError) as failure:
        names = [name for name in values if f" {name} " in f" {failure} "]
        missing = "required" in str(failure) and "argument" in str(failure)
        text = "needs " + str(failure).partition(": ")[2].replace("'", "") if missing else str(failure)
        (position.into(names[0]) if len(names) == 1 else position).fail(text)


def _format(value: object, position: Position) -> list:
    if isinstance(value, dict):
        return _built(Format, value, position)
    if not isinstance(value, str) or value.upper() not in _FORMATS:
        position.fail(f"must be a format ({', '.join(list(_FORMATS)[:13])}, INT2 to INT16), not {_shown(value)}")
    return [_FORMATS[value.upper()]]


def _quantizer(where: str, style: str) -> Reader:
    """A reader for one kind of tensor: "none", a format with the style's scaling, a named quantizer, or a table."""
    usual = {"weights": PerChannel(axis=-1), "activations": _STYLES[style], "kv": PerToken()}
    scaling = usual.get(where, PerTensor())

    def read(value: object, position: Position) -> list:
        if value == "none":
            return [None]
        if isinstance(value, str) and value.upper() in _QUANTIZERS:
            found = _QUANTIZERS[value.upper()]
            if where == "weights":  # blocks along the inputs, as those of the activations are
                found = dataclasses.replace(found, scaling=dataclasses.replace(found.scaling, axis=0))
            return [found]
        if isinstance(value, dict) and {"default", "layers"} & set(value):
            return _per_layer(value, position, read)
        if isinstance(value, dict) and "precision" not in value:
            known(value, ("format", "scaling", "rounding", "symmetric", "fitted", "learned", "rotate"), position)
            if "format" not in value:
                position.fail('needs format, as in {format = "INT4"}')
            readers = {
                "format": _format,
                "scaling": kind_of("scaling"),
                "rounding": chosen(Rounding),
                "symmetric": scalar("bool"),
            }
            choices = {n: several(read, value[n], position.into(n)) for n, read in readers.items() if n in value}
            found = products(choices | ({} if "scaling" in choices else {"scaling": [scaling]}), position)
            plain = [made(Quantizer, position, **values) for values in found]
            return [prepared for q in plain for prepared in _prepared(q, value, where, position)]
        return [made(Quantizer, position, format=format, scaling=scaling) for format in _format(value, position)]

    return read


def _prepared(quantizer: Quantizer, value: dict, where: str, position: Position) -> list:
    """The quantizer with fitted or learned scales (fitted = true) and a Hadamard rotation (rotate = 64), as it says."""
    fits, learns = (several(scalar("bool"), value.get(n, False), position.into(n)) for n in ("fitted", "learned"))
    sizes = several(scalar("int"), value["rotate"], position.into("rotate")) if "rotate" in value else [None]
    found = []
    for fit, learn, size in itertools.product(fits, learns, sizes):
        if learn and (fit or size is not None):
            position.into("learned").fail("a learned scale is neither fitted nor rotated")
        inner = made(Fitted if fit else Learned, position, quantizer=quantizer) if fit or learn else quantizer
        axis = 0 if where == "weights" else -1  # along the inputs, which a product is summed over
        found.append(inner if size is None else made(Rotated, position, quantizer=inner, size=size, axis=axis))
    return found


def _value_of(cls: type) -> Reader:
    """A reader of a kind of tensor whose rule is an object of one class: "none", a format, or a table of its fields."""

    def read(value: object, position: Position) -> list:
        if value == "none":
            return [None]
        if isinstance(value, dict) and {"default", "layers"} & set(value):
            return _per_layer(value, position, read)
        return _built(cls, value if isinstance(value, dict) else {"format": value}, position)

    return read


def _per_layer(value: dict, position: Position, read: Reader) -> list:
    known(value, ("default", "layers"), position)
    layers = value.get("layers", {})
    if not isinstance(layers, dict):
        position.into("layers").fail('must be a table of patterns, as in {"block0.*" = "INT8"}')
    for key, inner in [("default", value.get("default")), *layers.items()]:
        if isinstance(inner, dict) and {"default", "layers"} & set(inner):
            position.into("layers", key).fail("a table of layers cannot be inside another")
    defaults = several(read, value.get("default", "none"), position.into("default"))
    inner = {name: several(read, v, position.into("layers", name)) for name, v in layers.items()}
    return [
        made(PerLayer, position, default=default, layers=chosen)
        for default in defaults
        for chosen in products(inner, position)
    ]


def recipe(value: object, position: Position) -> list:
    """Recipes: "none", a quantizer's name for weights and activations, or a table of kinds of tensor."""
    if value == "none":
        return [Recipe()]
    if isinstance(value, str) and value.upper() in _QUANTIZERS:
        value = {"weights": value, "activations": value}
    if not isinstance(value, dict):
        position.fail(
            f'must be "none", {", ".join(_QUANTIZERS)} or a table {{weights = "INT4", …}}; not {_shown(value)}'
        )
    if "training" in value:
        return _training(value, position)
    known(value, ("style", *_RECIPE, "training"), position)
    return [made(Recipe, position, **parts) for parts in products(_parts(value, position), position)]


def _training(value: dict, position: Position) -> list:
    """A recipe with a backward pass of its own: {training = "nvfp4", exempt = ["block1.*"]}."""
    known(value, ("training", "exempt"), position)
    found: list[Recipe] = []
    words = value["training"] if isinstance(value["training"], list) else [value["training"]]
    (exempt,) = sets(scalar("str"))(value.get("exempt", []), position.into("exempt"))
    for word in words:
        if not isinstance(word, str) or word not in _TRAINING:
            position.into("training").fail(f"must be one of {', '.join(_TRAINING)}, not {_shown(word)}")
        found.append(made(_TRAINING[word], position, exempt=exempt))
    return found


def _parts(value: dict, position: Position) -> dict[str, list]:
    style = value.get("style", "kumar")
    if not isinstance(style, str) or style not in _STYLES:
        position.into("style").fail(f"must be one of {', '.join(_STYLES)}, not {_shown(style)}")
    found = {}
    for name in (name for name in _RECIPE if name in value):
        kind = getattr(sys.modules[Recipe.__module__], _RECIPE[name].partition(" ")[0], None)
        reader = _value_of(kind) if isinstance(kind, type) and kind is not Quantizer else _quantizer(name, style)
        found[name] = several(reader, value[name], position.into(name))
    return found


def treatment(value: object, position: Position) -> list:
    """Treatments after training: a quantizer of the weights, or a table with a method."""
    if not isinstance(value, dict):
        value = {"weights": value}
    known(value, ("style", *_AFTER_TRAINING, "method"), position)
    choices = _parts(value, position)
    if not any(q is not None for quantizers in choices.values() for q in quantizers):
        position.fail('quantizes nothing; give weights, activations or kv, as in "INT4"')
    methods = several(kind_of("method"), value.get("method", "rtn"), position.into("method"))
    recipes = [made(Recipe, position, **parts) for parts in products(choices, position)]
    return [made(Post, position, recipe=r, method=m) for r in recipes for m in methods]


def _share(value: object, position: Position) -> list:
    """From which to which share of the steps: [0.9, 1], one value; a list of such pairs, alternatives."""
    if isinstance(value, list) and value and all(isinstance(item, list) for item in value):
        return [one for n, item in enumerate(value) for one in _share(item, position.into(n))]
    if not isinstance(value, list) or len(value) != 2:
        position.fail(f"must be two shares of the steps, as in [0.9, 1]; not {_shown(value)}")
    return [tuple(scalar("float")(item, position.into(n))[0] for n, item in enumerate(value))]


def sets(reader: Reader) -> Reader:
    """A reader of a list that is one value: a tuple of all that its items stand for; a list of lists, alternatives."""

    def read(value: object, position: Position) -> list:
        items = value if isinstance(value, list) else [value]
        if items and all(isinstance(item, list) for item in items):
            return [one for n, item in enumerate(items) for one in read(item, position.into(n))]
        return [tuple(one for n, item in enumerate(items) for one in reader(item, position.into(n)))]

    return read


_READERS: dict[str, Reader] = {
    **{name: kind_of(name) for name in ("model", "language", "schedule", "optimizer", "sample")},
    "recipe": recipe,
    "post": sets(treatment),
    "looks": sets(scalar("int")),
    "in_force": _share,
}

#: Field of a Job -> reader of its value in a file.
FIELDS: dict[str, Reader] = {
    f.name: _READERS.get(f.name) or _field_reader(Job, str(f.type), f.name) for f in dataclasses.fields(Job)
}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
