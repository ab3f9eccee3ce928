"""How a promise is checked, and damage of every kind done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from squeezelab.errors import CorruptDataError
from squeezelab.testing.edges import Column

_NEVER = (MemoryError, RecursionError, SystemError)


def promise(holds: object, claim: str, on: str) -> None:
    """Raise an AssertionError that names the claim and the input if it does not hold."""
    if not holds:
        raise AssertionError(f"{claim}: broken on {on}")


def same_bits(a: Column, b: Column) -> bool:
    """Tell whether two columns have the same bytes."""
    return a.size == b.size and a.tobytes() == b.tobytes()


def expected_error(subject: Any, ours: type[Any]) -> type[Exception]:
    """Return what a subject of ours raises over damage; others may raise anything."""
    return CorruptDataError if isinstance(subject, ours) else Exception


def check_damage(
    whole: bytes, harmless: Callable[[bytes], bool], refusal: type[Exception], on: str, must: bool = True
) -> None:
    """Check damage of every kind to a frame or file.

    Parameters
    ----------
    whole : bytes
        What is damaged.
    harmless : callable
        Decodes; returns whether the right numbers came back.
    refusal : type of Exception
        What is raised otherwise.
    on : str
        What the input is.
    must : bool
        Whether damage has to be noticed, or only has to end well.
    """
    for name, damaged in damages(whole, most=4000 if must else 200):
        try:
            fine = harmless(damaged)
        except _NEVER as error:
            raise AssertionError(f"damage ends in an ordinary exception: broken on {on}, {name}: {error!r}") from error
        except AssertionError:
            fine = False
        except refusal:
            continue
        except Exception as error:
            raise AssertionError(f"damage raises {refusal.__name__}: broken on {on}, {name}: {error!r}") from error
        promise(fine or not must, "damage never gives other numbers", f"{on}, {name}")


def damages(whole: bytes, most: int) -> Iterator[tuple[str, bytes]]:
    """Yield damaged copies: with every bit turned if they are not more than ``most``, else with as many, and others."""
    rng = np.random.default_rng(11)
    for bit in range(0, 8 * len(whole), max(1, 8 * len(whole) // most)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit} turned", bytes(damaged)
    for size in range(0, len(whole), max(1, 8 * len(whole) // most)):
        yield f"cut after {size} of {len(whole)} bytes", whole[:size]
    yield "a zero after it", whole + b"\0"
    yield "a zero before it", b"\0" + whole
    yield "itself after it", whole + whole
    for place in sorted(set(rng.integers(0, len(whole), 20).tolist())):
        yield f"zeros from byte {place} on", whole[:place] + bytes(len(whole) - place)
        yield f"bytes {place} to {place + 7} drawn by lot", whole[:place] + rng.bytes(8) + whole[place + 8 :]
        yield f"bytes {place} to {place + 3} lost", whole[:place] + whole[place + 4 :]
    for size in (1, 2, 8, 21, 100, 1000):
        yield f"{size} random bytes in its place", rng.bytes(size)
    # Not eight: the CRC-32 of four bytes of ones is four bytes of ones.
    for size in (1, 2, 21, 100, 1000):
        yield f"{size} bytes of ones in its place", b"\xff" * size
