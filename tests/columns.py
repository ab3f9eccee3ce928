"""Columns that every codec must survive, and frames that none has made."""

import ctypes
import mmap

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from squeezelab.codecs import ColumnCodec, _frame
from squeezelab.codecs._frame import FLOAT32, FLOAT64, INT64, varint
from squeezelab.testing.edges import SPECIAL_SINGLES, SPECIAL_WORDS

WORDS = st.integers(0, 2**64 - 1)
LENGTHS = st.integers(0, 300)


def int64_columns() -> st.SearchStrategy[np.ndarray]:
    """Wild columns, and tame ones: regular timestamps with jitter."""
    wild = arrays(np.uint64, LENGTHS, elements=WORDS).map(lambda words: words.view(np.int64))
    jitter = arrays(np.int64, LENGTHS, elements=st.sampled_from([0] * 9 + [-2, -1, 1, 3, 1000, -(10**6)]))
    start = st.integers(-(2**62), 2**62)
    return wild | st.builds(lambda first, steps: first + np.cumsum(15 + steps), start, jitter)


def float64_columns() -> st.SearchStrategy[np.ndarray]:
    """Wild bits, NaN payloads among them, and tame ones: decimals that repeat."""
    wild = arrays(np.uint64, LENGTHS, elements=WORDS).map(lambda words: words.view(np.float64))
    decimals = arrays(np.int64, LENGTHS, elements=st.integers(-40, 40)).map(lambda tenths: tenths / 10)
    special = st.lists(st.sampled_from(SPECIAL_WORDS), max_size=50).map(
        lambda words: np.array(words, np.uint64).view(np.float64)
    )
    return wild | decimals | special


def float32_columns() -> st.SearchStrategy[np.ndarray]:
    """Wild bits, and those at the edges."""
    wild = arrays(np.uint32, LENGTHS, elements=st.integers(0, 2**32 - 1))
    special = st.lists(st.sampled_from(SPECIAL_SINGLES), max_size=50).map(lambda words: np.array(words, np.uint32))
    return (wild | special).map(lambda words: words.view(np.float32))


COLUMNS = {INT64: int64_columns(), FLOAT64: float64_columns(), FLOAT32: float32_columns()}


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() == b.tobytes()


def came_back(codec: ColumnCodec, decoded: np.ndarray, column: np.ndarray) -> bool:
    """Return whether all bits came back, or the values of a lossy codec within its tolerance."""
    if not codec.lossy or column.dtype == INT64:
        return same_bits(decoded, column)
    finite, nan = np.isfinite(column), np.isnan(column)
    error = np.abs(decoded[finite] - column[finite])
    return (
        (decoded.dtype, decoded.size) == (column.dtype, column.size)
        and np.all(error <= codec.tolerance(column)[finite])
        and np.array_equal(np.isnan(decoded), nan)
        and same_bits(decoded[~finite & ~nan], column[~finite & ~nan])
    )


def forge(codec_name: str, dtype: np.dtype, payload: bytes, count: int) -> bytes:
    """Make a frame with a good checksum around any payload and claim."""
    header = bytes([_frame._TAGS[dtype]]) + varint(count) + varint(len(payload))
    return header + payload + _frame._checksum(codec_name, header, payload)


def at_the_end_of_memory(data: bytes) -> np.ndarray:
    """Return bytes after which nothing can be read, where there is mprotect: who reads on dies of it."""
    try:
        protect = ctypes.CDLL(None).mprotect
    except (AttributeError, OSError, TypeError):
        return np.frombuffer(data, np.uint8)
    size = -(-len(data) // mmap.PAGESIZE) * mmap.PAGESIZE
    whole = np.frombuffer(mmap.mmap(-1, size + mmap.PAGESIZE), np.uint8)
    whole[size - len(data) : size] = np.frombuffer(data, np.uint8)
    assert protect(ctypes.c_void_p(whole.ctypes.data + size), mmap.PAGESIZE, 0) == 0
    return whole[size - len(data) : size]
