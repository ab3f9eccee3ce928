"""How numbers print: int64 and float64 digit for digit as Python's ``json.dumps`` spells them, in numba kernels.

A double prints as the shortest decimal that reads back as the same double, the nearest to it among those. It is
found as ``digits`` times ten to the ``exponent``; lengths and texts are both made from this pair, so that counting and
writing cannot disagree. Positions and digits are unsigned 64-bit words, exponents signed ones.

References
----------
R. Giulietti, "The Schubfach way to render doubles", 2020.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, high_product, leading_zeros

_MAGNITUDE = U(2**63 - 1)
_INFINITY = U(0x7FF0000000000000)
_NAN = U(0x7FF8000000000000)
_FRACTION = U(2**52 - 1)

_TEN_TO = np.array([10**n for n in range(20)], np.uint64)
_LOWEST, _HIGHEST = -324, 292


def _text(text: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text, np.uint8)


_VALUE_KEY = _text(b', "value": ')
_BITS_KEY = _text(b', "value_bits": "')
_NAN_TEXT, _INFINITY_TEXT = _text(b"NaN"), _text(b"Infinity")
_BITS_BYTES = U(_BITS_KEY.size + 17)
_FIXED_BYTES = U(_VALUE_KEY.size + 2)

LONGEST_TAIL = 20 + int(_FIXED_BYTES) + 24 + int(_BITS_BYTES)
"""No line is longer than its prefix and this: both numbers at their longest, and everything that may surround them."""


def _scaled_powers() -> npt.NDArray[np.uint64]:
    """Return ``10**-k`` for each ``k`` from `_LOWEST` to `_HIGHEST` as two words, high and low.

    The 128 bits are the power's leading ones, rounded down, plus one: the paper's table has 126.
    """
    table = np.empty((_HIGHEST - _LOWEST + 1, 2), np.uint64)
    for row, k in enumerate(range(_LOWEST, _HIGHEST + 1)):
        above, below = 10 ** max(-k, 0), 10 ** max(k, 0)
        shift = 127 - (-k * 1741647 >> 19)
        leading = (above << max(shift, 0)) // (below << max(-shift, 0)) + 1
        table[row] = divmod(leading, 2**64)
    return table


_SCALED_POWERS = _scaled_powers()


@kernel(forceinline=True)
def _round_to_odd(high, low, factor):
    """Return ``(high, low) * factor / 2**128``, its last bit set if anything was cut off.

    The power in the table is too large by one at most, the product by less than ``2**64``: where nothing should be cut
    off, ``middle`` is still zero. The tests compute that it is not zero elsewhere, and that no carry goes wrong.
    """
    partial = high * factor
    middle = partial + high_product(low, factor)
    return (high_product(high, factor) + U(middle < partial)) | U(middle > U(0))


@kernel(forceinline=True)
def _shortest(bits):
    """Return digits and exponent of the shortest decimal for the bits of a positive, finite double.

    A unit is ``10**k``, the largest power of ten that is not above the width of the interval of numbers that round to
    this double. So at least one of the two whole numbers of units around the double lies in the interval; and if one of
    the two whole tens of units does, no other does, and it is shorter. All is counted in quarters of a unit.
    """
    fraction, biased = bits & _FRACTION, bits >> U(52)
    significand = fraction | (U(biased > U(0)) << U(52))
    q = np.int64(max(biased, U(1))) - 1075
    # At a power of two the double below is only half as far away.
    uneven = fraction == U(0) and biased > U(1)
    # Both logarithms rounded down, exact for every q of a double: log10(2**q), log10(3/4 * 2**q); log2(10**-k).
    k = (q * 1262611 - (524031 if uneven else 0)) >> 22
    shift = U(q + (-k * 1741647 >> 19) + 1)
    high, low = _SCALED_POWERS[U(k - _LOWEST), 0], _SCALED_POWERS[U(k - _LOWEST), 1]
    quarters = significand << U(2)
    exact = _round_to_odd(high, low, quarters << shift)
    # Ties go to even: the interval's ends belong to it if the significand is even.
    odd = significand & U(1)
    first = _round_to_odd(high, low, (quarters - (U(1) if uneven else U(2))) << shift) + odd
    last = _round_to_odd(high, low, (quarters + U(2)) << shift) - odd
    unit = exact >> U(2)
    tens = unit // U(10) * U(10)
    if first <= tens << U(2) or (tens + U(10)) << U(2) <= last:
        return tens if first <= tens << U(2) else tens + U(10), k
    below, above = first <= unit << U(2), (unit + U(1)) << U(2) <= last
    middle = (unit << U(2)) + U(2)
    nearer_above = exact > middle or (exact == middle and unit & U(1) == U(1))
    return unit + U(above and (nearer_above or not below)), k


@kernel(forceinline=True)
def _strip_zeros(digits, exponent, limit):
    """Move zeros at the end of the digits into the exponent, up to a limit."""
    while exponent < limit and digits % U(10) == U(0):
        digits //= U(10)
        exponent += 1
    return digits, exponent


@kernel
def _long_decimal(bits):
    digits, exponent = _shortest(bits)
    if digits % U(10**8) == U(0):
        digits, exponent = digits // U(10**8), exponent + 8
    return _strip_zeros(digits, exponent, 400)


@kernel(forceinline=True)
def _find_decimal(bits):
    """Return digits and exponent of the shortest decimal for the bits of a finite double that is not negative.

    Readings mostly have few decimals, and then one division does. Let ``n`` be a whole number of at most 15 digits
    with ``n / 1000 == value`` in doubles. Both operands are exact and division rounds correctly, so the decimal
    ``n / 1000`` reads back as the value. No other decimal of at most 15 digits does: these all are different doubles,
    for their spacing, relative to their size, is more than four times that of doubles. So this one, without the zeros
    at its end, is the shortest.
    """
    value = U(bits).view(np.float64)
    scaled = value * 1000.0
    if scaled < 1e15:
        thousandths = np.int64(scaled + 0.5)
        if np.float64(thousandths) / 1000.0 == value:
            return _strip_zeros(U(thousandths), -3, 0)
    return _long_decimal(bits)


@kernel(forceinline=True)
def _digit_count(number):
    # 1233 / 4096 is log10(2), near enough for 64 bits: the count from the bits is right or one too small.
    count = (U(64) - leading_zeros(number | U(1))) * U(1233) >> U(12)
    return count + U((number | U(1)) >= _TEN_TO[count])


@kernel(forceinline=True)
def _write_digits(buffer, at, number, count):
    """Write the last ``count`` digits of a number, zeros in front if it has fewer."""
    place = at + count
    while place > at:
        place -= U(1)
        tenth = number // U(10)
        buffer[place] = number - tenth * U(10) + U(48)
        number = tenth
    return at + count


@kernel(forceinline=True)
def _write_text(buffer, at, text):
    for i in range(U(text.size)):
        buffer[at + i] = text[i]
    return at + U(text.size)


@kernel(forceinline=True)
def _decimal_layout(digits, exponent):
    """Return the number of digits, the decimal point's place after the first one, and if there is no exponent."""
    count = _digit_count(digits)
    point = np.int64(count) + exponent
    return count, point, -4 < point <= 16


@kernel(forceinline=True)
def _decimal_length(digits, exponent):
    count, point, fixed = _decimal_layout(digits, exponent)
    if fixed:
        return U(max(point, 1) + 1 + max(-exponent, 1))
    return count + U(count > U(1)) + U(4) + U(abs(point - 1) >= 100)


@kernel(forceinline=True)
def _write_fixed(buffer, at, digits, exponent, point):
    """Write ``123.45``, ``0.0012``, ``1200.0``: at least one digit on either side of the point."""
    # No decimal has more than 17 digits: from the 17th place on there is no whole part.
    unit = _TEN_TO[U(min(abs(exponent), 17))]
    if exponent < 0:
        whole = digits // unit
        rest = digits - whole * unit
    else:
        whole, rest = digits * unit, U(0)
    at = _write_digits(buffer, at, whole, U(max(point, 1)))
    buffer[at] = ord(".")
    return _write_digits(buffer, at + U(1), rest, U(max(-exponent, 1)))


@kernel(forceinline=True)
def _write_scientific(buffer, at, digits, count, power):
    """Write ``1.5e-07``, ``1e+16``, ``5e-324``: at least two digits of exponent, with their sign."""
    unit = _TEN_TO[count - U(1)]
    first = digits // unit
    buffer[at] = first + U(48)
    at += U(1)
    if count > U(1):
        buffer[at] = ord(".")
        at = _write_digits(buffer, at + U(1), digits - first * unit, count - U(1))
    buffer[at] = ord("e")
    buffer[at + U(1)] = ord("-") if power < 0 else ord("+")
    return _write_digits(buffer, at + U(2), U(abs(power)), U(3) if abs(power) >= 100 else U(2))


@kernel
def value_length(value):
    """Return how many bytes a float64 prints to.

    Examples
    --------
    >>> int(value_length(-0.1)), int(value_length(1e22)), int(value_length(5e-324))
    (4, 5, 6)
    """
    bits = np.float64(value).view(np.uint64)
    sign, magnitude = bits >> U(63), bits & _MAGNITUDE
    if magnitude > _INFINITY:
        return U(_NAN_TEXT.size)
    if magnitude == _INFINITY:
        return U(_INFINITY_TEXT.size) + sign
    digits, exponent = _find_decimal(magnitude)
    return _decimal_length(digits, exponent) + sign


@kernel
def write_value(buffer, at, value):
    """Write a float64 as ``json.dumps`` prints it, from byte ``at`` (uint64) on; return the byte after it.

    Examples
    --------
    >>> buffer = np.empty(24, np.uint8)
    >>> bytes(buffer[: write_value(buffer, U(0), -1.5e-7)])
    b'-1.5e-07'
    """
    bits = np.float64(value).view(np.uint64)
    magnitude = bits & _MAGNITUDE
    if magnitude > _INFINITY:
        return _write_text(buffer, at, _NAN_TEXT)
    if bits != magnitude:
        buffer[at] = ord("-")
        at += U(1)
    if magnitude == _INFINITY:
        return _write_text(buffer, at, _INFINITY_TEXT)
    digits, exponent = _find_decimal(magnitude)
    count, point, fixed = _decimal_layout(digits, exponent)
    if fixed:
        return _write_fixed(buffer, at, digits, exponent, point)
    return _write_scientific(buffer, at, digits, count, point - 1)


@kernel(forceinline=True)
def _sign_and_magnitude(number):
    bits = np.int64(number).view(np.uint64)
    sign = bits >> U(63)
    return sign, U(0) - bits if sign else bits


@kernel
def integer_length(number):
    """Return how many bytes an int64 prints to.

    Examples
    --------
    >>> int(integer_length(-(2**63)))
    20
    """
    sign, magnitude = _sign_and_magnitude(number)
    return _digit_count(magnitude) + sign


@kernel
def write_integer(buffer, at, number):
    """Write an int64 from byte ``at`` (uint64) on; return the byte after it.

    Examples
    --------
    >>> buffer = np.empty(20, np.uint8)
    >>> bytes(buffer[: write_integer(buffer, U(0), -42)])
    b'-42'
    """
    sign, magnitude = _sign_and_magnitude(number)
    # The first digit takes the sign's place unless there is one.
    buffer[at] = ord("-")
    return _write_digits(buffer, at + sign, magnitude, _digit_count(magnitude))


@kernel(forceinline=True)
def _hides_bits(value):
    """Say if a value is a NaN that ``NaN``, which reads back as the default one, does not tell."""
    bits = np.float64(value).view(np.uint64)
    return (bits & _MAGNITUDE) > _INFINITY and bits != _NAN


@kernel(forceinline=True)
def _write_bits(buffer, at, value):
    at = _write_text(buffer, at, _BITS_KEY)
    bits = np.float64(value).view(np.uint64)
    for i in range(U(16)):
        nibble = (bits >> (U(60) - U(4) * i)) & U(15)
        buffer[at + i] = nibble + (U(48) if nibble < U(10) else U(87))
    buffer[at + U(16)] = ord('"')
    return at + U(17)


@kernel
def tails_length(timestamps, values):
    """Return the bytes that lines take after their prefixes.

    Parameters
    ----------
    timestamps : int64[n]
    values : float64[n]

    Examples
    --------
    >>> int(tails_length(np.array([100]), np.array([1.5]))) == len('100, "value": 1.5}' + chr(10))
    True
    """
    total = _FIXED_BYTES * U(values.size)
    for i in range(values.size):
        total += integer_length(timestamps[i]) + value_length(values[i])
        if _hides_bits(values[i]):
            total += _BITS_BYTES
    return total


@kernel
def integer_tails_length(timestamps, values):
    """Return the bytes that lines of integers take after their prefixes.

    Parameters
    ----------
    timestamps, values : int64[n]

    Examples
    --------
    >>> int(integer_tails_length(np.array([100]), np.array([-15]))) == len('100, "value": -15}' + chr(10))
    True
    """
    total = _FIXED_BYTES * U(values.size)
    for i in range(values.size):
        total += integer_length(timestamps[i]) + integer_length(values[i])
    return total


@kernel(forceinline=True)
def _begin_line(buffer, at, prefix, timestamp):
    at = _write_text(buffer, at, prefix)
    at = write_integer(buffer, at, timestamp)
    return _write_text(buffer, at, _VALUE_KEY)


@kernel(forceinline=True)
def _end_line(buffer, at):
    buffer[at] = ord("}")
    buffer[at + U(1)] = ord("\n")
    return at + U(2)


@kernel
def write_lines(buffer, at, prefix, timestamps, values):
    r"""Write a line for each sample of a series.

    Parameters
    ----------
    buffer : uint8[]
        Must have room for each line at its longest, ``prefix.size + LONGEST_TAIL`` bytes.
    at : uint64
        The byte where the first line begins.
    prefix : uint8[]
        The line up to the timestamp's digits.
    timestamps : int64[n]
    values : float64[n]

    Returns
    -------
    uint64
        The byte after the last line.

    Examples
    --------
    >>> buffer = np.empty(200, np.uint8)
    >>> bytes(buffer[: write_lines(buffer, U(0), np.frombuffer(b'{"t": ', np.uint8), np.array([7]), np.array([0.5]))])
    b'{"t": 7, "value": 0.5}\n'
    """
    for i in range(values.size):
        at = _begin_line(buffer, at, prefix, timestamps[i])
        at = write_value(buffer, at, values[i])
        if _hides_bits(values[i]):
            at = _write_bits(buffer, at, values[i])
        at = _end_line(buffer, at)
    return at


@kernel
def write_integer_lines(buffer, at, prefix, timestamps, values):
    r"""Write a line for each sample of a series of integers; else as `write_lines`.

    Examples
    --------
    >>> buffer = np.empty(200, np.uint8)
    >>> prefix = np.frombuffer(b'{"t": ', np.uint8)
    >>> bytes(buffer[: write_integer_lines(buffer, U(0), prefix, np.array([7]), np.array([-5]))])
    b'{"t": 7, "value": -5}\n'
    """
    for i in range(values.size):
        at = _begin_line(buffer, at, prefix, timestamps[i])
        at = write_integer(buffer, at, values[i])
        at = _end_line(buffer, at)
    return at
