"""Codes as strings of zeros and ones, for slow encoders that read like a format's documentation."""


def uvarint(number: int) -> str:
    """Return LEB128 as a character a bit."""
    low, rest = number & 0x7F, number >> 7
    return f"{bool(rest):b}{low:07b}" + (uvarint(rest) if rest else "")


def varint(number: int) -> str:
    """Return zigzag and LEB128 as a character a bit."""
    return uvarint(2 * number if number >= 0 else -2 * number - 1)


def signed(number: int) -> int:
    """Wrap a number into 64 bits, as Go does."""
    return (number + 2**63) % 2**64 - 2**63


def to_bytes(bits: str) -> bytes:
    """Return the bytes, the last one filled up with zeros."""
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
