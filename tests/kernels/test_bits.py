"""Whole words at any byte of an array, also where numba checks bounds; quotients by an inverse."""

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezelab.kernels.bits import (
    MOST_DIVISOR,
    U,
    load_half,
    load_little,
    load_word,
    quotient_of,
    store_half,
    store_little,
    store_word,
)

LOADS = {load_word: (8, "big"), load_little: (8, "little"), load_half: (4, "little")}
STORES = {store_word: (8, "big"), store_little: (8, "little"), store_half: (4, "little")}
BYTES = np.arange(1, 21, dtype=np.uint8)


def compiled(operation: Any, boundscheck: bool) -> Any:
    if operation in LOADS:
        return numba.njit(lambda data, at: operation(data, at), boundscheck=boundscheck)
    return numba.njit(lambda data, at: operation(data, at, U(0x0102030405060708)), boundscheck=boundscheck)


@pytest.mark.parametrize("boundscheck", [False, True])
def test_a_word_is_loaded_and_stored_at_any_byte(boundscheck: bool) -> None:
    for load, (size, order) in LOADS.items():
        run = compiled(load, boundscheck)
        for at in range(BYTES.size - size + 1):
            assert run(BYTES, U(at)) == int.from_bytes(BYTES[at : at + size].tobytes(), order)
    for store, (size, order) in STORES.items():
        run = compiled(store, boundscheck)
        for at in range(BYTES.size - size + 1):
            data = BYTES.copy()
            run(data, U(at))
            word = (0x0102030405060708 % 2 ** (8 * size)).to_bytes(size, order)
            assert data.tobytes() == BYTES[:at].tobytes() + word + BYTES[at + size :].tobytes()


@pytest.mark.parametrize("operation", [*LOADS, *STORES], ids=lambda one: one._name)
def test_a_word_that_does_not_lie_in_the_array_is_an_error_where_bounds_are_checked(operation: Any) -> None:
    """The array is all there is: bytes that follow a slice in memory are not its own."""
    size, _ = (LOADS | STORES)[operation]
    whole, run = BYTES.copy(), compiled(operation, boundscheck=True)
    part = whole[:16]
    run(part, U(16 - size))
    for at in (16 - size + 1, 16, 2**32, 2**63, 2**64 - 1, 2**64 - size):
        with pytest.raises(IndexError):
            run(part, U(at))
    assert np.array_equal(whole[16:], BYTES[16:])


@numba.njit
def quotients(wholes: Any, divisor: float) -> Any:
    inverse = 1.0 / divisor
    return np.array([quotient_of(whole, divisor, inverse) for whole in wholes])


@given(st.integers(1, MOST_DIVISOR) | st.sampled_from([10**i for i in range(16)]), st.data())
def test_a_quotient_by_the_inverse_is_that_of_division(divisor: int, data: Any) -> None:
    """Also next to the middle between two doubles, where a quotient that is a little off rounds the other way."""
    middle = st.builds(
        lambda odd, power: (2 * odd + 1) * divisor >> power, st.integers(2**52, 2**53 - 1), st.integers(1, 110)
    )
    near = st.builds(lambda number, by: min(number, 2**53 - 9) + by, middle, st.integers(-2, 2))
    wholes = data.draw(st.lists(near | st.integers(-(2**53), 2**53), min_size=1, max_size=60))
    doubles = np.array(wholes, np.float64)
    assert quotients(doubles, float(divisor)).tobytes() == (doubles / float(divisor)).tobytes()
