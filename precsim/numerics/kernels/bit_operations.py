"""Integer operations that stay in the carrier's width, as numba intrinsics.

Numba types int32 op int32 as int64, which halves the number of SIMD lanes and stops the vectorizer at shifts. Each
intrinsic here takes two integers of one type, 32 or 64 bits, and gives that type back, wrapping on overflow.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _intrinsic

__all__ = [
    "add", "band", "bits_of", "bor", "equal", "float_of", "greater", "integer_of", "less", "low_word", "lshr", "mul",
    "pick", "real_of", "shl", "staircase", "sub", "word_like", "xor",
]  # fmt: skip

intrinsic: Any = _intrinsic  # callers give neither the context nor types, as checkers would want
_TWIN = {types.float32: types.int32, types.float64: types.int64}
_BACK = {i: f for f, i in _TWIN.items()}


def _width(a: Any) -> int:
    return getattr(a, "bitwidth", 0) if isinstance(a, types.Integer) else 0


def _binary(name: str, emit):
    def typed(context, a, b):
        def codegen(cgctx, builder, sig, args):
            return emit(builder)(*args)

        return (a(a, b), codegen) if isinstance(a, types.Integer) and a == b else None

    typed.__name__ = name
    return intrinsic(typed)


add = _binary("add", lambda builder: builder.add)
sub = _binary("sub", lambda builder: builder.sub)
mul = _binary("mul", lambda builder: builder.mul)
band = _binary("band", lambda builder: builder.and_)
bor = _binary("bor", lambda builder: builder.or_)
xor = _binary("xor", lambda builder: builder.xor)
shl = _binary("shl", lambda builder: builder.shl)
lshr = _binary("lshr", lambda builder: builder.lshr)


def _comparison(name: str, predicate: str):
    def typed(context, a, b):
        def codegen(cgctx, builder, sig, args):
            if isinstance(sig.args[0], types.Float):
                return builder.fcmp_ordered(predicate, *args)
            return builder.icmp_signed(predicate, *args)

        return (types.boolean(a, b), codegen) if a == b else None

    typed.__name__ = name
    return intrinsic(typed)


greater = _comparison("greater", ">")
less = _comparison("less", "<")
equal = _comparison("equal", "==")


@intrinsic
def pick(context, condition, a, b):
    """Return a where the condition holds, else b: a select instruction, never a branch."""

    def codegen(cgctx, builder, sig, args):
        flag = args[0]
        if flag.type != ir.IntType(1):
            flag = builder.trunc(flag, ir.IntType(1))
        return builder.select(flag, args[1], args[2])

    return (a(types.boolean, a, b), codegen) if a == b else None


@intrinsic
def staircase(context, y, steps, levels):
    """Return the level after the last of the ascending steps that y is beyond; tuples of n and n + 1 numbers."""

    def codegen(cgctx, builder, sig, args):
        value = builder.extract_value(args[2], 0)
        for k in range(sig.args[1].count):
            beyond = builder.fcmp_ordered(">", args[0], builder.extract_value(args[1], k))
            value = builder.select(beyond, builder.extract_value(args[2], k + 1), value)
        return value

    fits = isinstance(steps, types.UniTuple) and isinstance(levels, types.UniTuple)
    return (y(y, steps, levels), codegen) if fits and levels.count == steps.count + 1 else None


def _reinterpreting(name: str, table):
    def typed(context, a):
        def codegen(cgctx, builder, sig, args):
            return builder.bitcast(args[0], cgctx.get_value_type(sig.return_type))

        return (table[a](a), codegen) if a in table else None

    typed.__name__ = name
    return intrinsic(typed)


bits_of = _reinterpreting("bits_of", _TWIN)
float_of = _reinterpreting("float_of", _BACK)


@intrinsic
def real_of(context, a):
    """Convert a signed integer to the float of its width, by value."""

    def codegen(cgctx, builder, sig, args):
        return builder.sitofp(args[0], cgctx.get_value_type(sig.return_type))

    return (_BACK[a](a), codegen) if a in _BACK else None


@intrinsic
def integer_of(context, a):
    """Convert a float to the signed integer of its width, truncating; the value must fit."""

    def codegen(cgctx, builder, sig, args):
        return builder.fptosi(args[0], cgctx.get_value_type(sig.return_type))

    return (_TWIN[a](a), codegen) if a in _TWIN else None


@intrinsic
def low_word(context, a):
    """Return the low 32 bits of an integer, as int32."""

    def codegen(cgctx, builder, sig, args):
        word = ir.IntType(32)
        return args[0] if args[0].type == word else builder.trunc(args[0], word)

    return (types.int32(a), codegen) if _width(a) >= 32 else None


@intrinsic
def word_like(context, a, like):
    """Widen (with zeros) or keep an integer so that it has the type of another."""

    def codegen(cgctx, builder, sig, args):
        wanted = args[1].type
        return args[0] if args[0].type == wanted else builder.zext(args[0], wanted)

    return (like(a, like), codegen) if 0 < _width(a) <= like.bitwidth else None
