"""Blocks of 16 or 32 numbers as one LLVM vector each: loaded once, measured, rounded and stored.

A loop of constant length is unrolled before LLVM looks for vectors, and one of unknown length is too short here for
the vector loop to be entered. Vector types say what is meant; LLVM splits them into what the processor has.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _intrinsic

__all__ = ["block_evenly", "block_floats", "block_largest"]

intrinsic: Any = _intrinsic
_SINGLE, _WORD = ir.FloatType(), ir.IntType(32)
_WIDTHS = (16, 32)


def _vector(cgctx, builder, kind, array, row, count: int):
    """Pointer to `count` numbers of a row of an array of `count` columns, as one vector of words."""
    data = cgctx.make_array(kind)(cgctx, builder, array).data
    start = builder.gep(data, [builder.mul(row, row.type(count))])
    return builder.bitcast(start, ir.VectorType(_WORD, count).as_pointer())


def _load(builder, pointer):
    word = builder.load(pointer)
    word.align = 1  # arrays may begin anywhere
    return word


def _all(builder, value, count: int):
    """A scalar in every lane."""
    kind = ir.VectorType(value.type, count)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _WORD(0))
    return builder.shuffle_vector(
        first, ir.Constant(kind, ir.Undefined), ir.Constant(ir.VectorType(_WORD, count), [0] * count)
    )


def _larger(builder, a, b):
    return builder.select(builder.icmp_signed(">", a, b), a, b)


def _are_blocks(count, *arrays) -> bool:
    if not (isinstance(count, types.IntegerLiteral) and count.literal_value in _WIDTHS):
        return False
    return all(isinstance(a, types.Array) and (a.dtype, a.ndim, a.layout) == (types.float32, 2, "C") for a in arrays)


@intrinsic
def block_largest(context, count, x, row, magnitude):
    """Bits of the largest magnitude of a row of `count` numbers (a literal: 16 or 32)."""

    def codegen(cgctx, builder, sig, args):
        n = sig.args[0].literal_value
        words = _load(builder, _vector(cgctx, builder, sig.args[1], args[1], args[2], n))
        words = builder.and_(words, _all(builder, args[3], n))
        while n > 1:  # halves against each other
            n //= 2
            low, high = (ir.Constant(ir.VectorType(_WORD, n), list(range(i, i + n))) for i in (0, n))
            none = ir.Constant(words.type, ir.Undefined)
            words = _larger(
                builder, builder.shuffle_vector(words, none, low), builder.shuffle_vector(words, none, high)
            )
        return builder.extract_element(words, _WORD(0))

    fits = _are_blocks(count, x) and magnitude == types.int32
    return (types.int32(count, x, types.intp, magnitude), codegen) if fits else None


def _rounding(name: str, parameters: int, emit):
    """Make the intrinsic ``name(count, x, out, row, inverse, scale, *parameters)``: out = emit(x * inverse) * scale."""

    def typed(context, count, x, out, row, inverse, scale, rest):
        def codegen(cgctx, builder, sig, args):
            n = sig.args[0].literal_value
            real = ir.VectorType(_SINGLE, n)
            words = _load(builder, _vector(cgctx, builder, sig.args[1], args[1], args[3], n))
            numbers = builder.fmul(builder.bitcast(words, real), _all(builder, args[4], n))
            given = [_all(builder, v, n) for v in cgutils.unpack_tuple(builder, args[6])]
            result = builder.fmul(emit(builder, numbers, *given), _all(builder, args[5], n))
            target = _vector(cgctx, builder, sig.args[2], args[2], args[3], n)
            builder.store(builder.bitcast(result, ir.VectorType(_WORD, n)), target).align = 1
            return cgctx.get_dummy_value()

        fits = _are_blocks(count, x, out) and out.mutable and {inverse, scale} == {types.float32}
        fits = fits and isinstance(rest, types.UniTuple) and rest.count == parameters
        signature = types.void(count, x, out, types.intp, inverse, scale, rest)
        return (signature, codegen) if fits else None

    typed.__name__ = name
    return intrinsic(typed)


def _floats(builder, numbers, magnitude, clamp, exponent, emin, lift, high, sign):
    """`precsim.numerics.kernels.magic_add.even` for formats that saturate and keep -0; NaN may become anything."""
    real = numbers.type
    u = builder.bitcast(numbers, magnitude.type)
    a = builder.and_(u, magnitude)
    a = builder.select(builder.icmp_signed("<", a, clamp), a, clamp)
    big = builder.bitcast(builder.add(_larger(builder, builder.and_(a, exponent), emin), lift), real)
    r = builder.bitcast(builder.fsub(builder.fadd(builder.bitcast(a, real), big), big), u.type)
    r = builder.select(builder.icmp_signed("<", r, high), r, high)
    return builder.bitcast(builder.or_(r, builder.and_(u, sign)), real)


def _evenly(builder, numbers, center, low, high):
    """`fused_loops.evenly` for a vector of numbers, one in each lane."""
    y = builder.fsub(builder.fadd(numbers, center), center)
    y = builder.select(builder.fcmp_ordered(">", y, high), high, y)
    return builder.select(builder.fcmp_ordered("<", y, low), low, y)


block_floats = _rounding("block_floats", 7, _floats)
block_evenly = _rounding("block_evenly", 3, _evenly)
