"""Blocks written of their parts: by static streams, or with models that learn in place of a larger one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from squeezelab.codecs.tally.adaptive import Limits, write_adaptive
from squeezelab.codecs.tally.blocks import OWN, OWN_RANKS
from squeezelab.codecs.tally.modes import BITS, DIVIDE, KernelMode
from squeezelab.codecs.tally.parts import STREAMS, Apart, flags_of, integers_of, put_fields, streams_of
from squeezelab.codecs.tally.prediction import NONE_COMMON
from squeezelab.codecs.tally.static_streams import moved_down, write_stream
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, put_varint

ADAPTIVE = 6
"""The kind of blocks of version 1."""
FEWEST_TO_RETRY, FEWEST_TO_ADAPT = 1024, 100
WORTH_ADAPTING = 97
"""Of a hundred bytes models that learn may take so many, at level 2."""


class Written(NamedTuple):
    """A block that was written.

    Attributes
    ----------
    at : uint64
        The byte after it; 0 if it needs a closer look.
    apart : Apart
        What it was written of.
    own, coder : uint64
        Of the stream that has an integer for each value its bytes, and its coder.
    gain : int64
        About how many bits models that learn would save in that, in 2^-12.
    """

    at: np.uint64
    apart: Apart
    own: np.uint64
    coder: np.uint64
    gain: np.int64


@kernel(forceinline=True, inner=True)
def as_bits():
    """Return the mode of words as they are."""
    return KernelMode(U(BITS), U(1), U(1), U(0))


@kernel(forceinline=True, inner=True)
def not_yet(apart, at):
    """Return a block before it is written."""
    return Written(at, apart, U(0), U(0), np.int64(0))


@kernel(inner=True)
def moved(block, source, at, buffer):
    """Return a block that was written at a place and is moved down to another."""
    return Written(moved_down(buffer, source, block.at, at), block.apart, block.own, block.coder, block.gain)


@kernel(inner=True)
def with_size(buffer, at, end):
    """Put the size of what stands three bytes after a place before it; return the byte after it."""
    source = at + U(3)
    at = put_varint(buffer, at, end - source)
    return moved_down(buffer, source, end, at) if at < source else end


@kernel(inner=True)
def write_streams(apart, common, level, work, buffer, at):
    """Write a block of its parts; the most common rank may be known.

    Returns
    -------
    block : Written
    """
    buffer[at] = flags_of(apart)
    at = put_fields(apart, buffer, at + U(1))
    if apart.missed:
        at = put_varint(buffer, at, apart.missed)
    own, coder, gain, left = U(0), U(0), np.int64(0), streams_of(apart)
    for stream in range(STREAMS):
        integers = integers_of(stream, apart, work)
        if integers.size == 0:
            continue
        left -= 1
        is_own, place = stream == (OWN_RANKS if apart.distinct else OWN), at + U(3) if left else at
        often, its_level = common if is_own else NONE_COMMON, level if integers.size == apart.values else U(2)
        after, saved = write_stream(integers, often, its_level, False, work, buffer, place)
        if is_own:
            own, coder, gain = after - place, U(buffer[place]) & U(3), saved
        at = with_size(buffer, at, after) if left else after
    return Written(at, apart, own, coder, gain)


@kernel(inner=True)
def write_models(block, limits, work, buffer, begin):
    """Write a block with models that learn in place of a larger one; return the byte after it, 0 if it is larger."""
    end = write_adaptive(block.apart, np.int64(0), limits, work, buffer, begin + U(1), block.at)
    if block.apart.distinct or block.apart.missed or block.apart.mode.kind > U(DIVIDE):
        # Contexts may tell more of numbers as they are than of their deltas, and the other way round.
        limits = Limits(end - begin - U(1) if end else limits.size, np.inf, limits.sampled)
        other = write_adaptive(block.apart, np.int64(1), limits, work, buffer, begin + U(1), block.at)
        end = other if other else end
    if end:
        buffer[begin] = ADAPTIVE
    return end
