"""The series dictionary: every name, label and label value once, and the series as numbers of them.

::

    varint      number of strings; for each a varint, its bytes, and its UTF-8
    varint      number of series; for each varints: metric name, number of labels, and name and value of each label
"""

from __future__ import annotations

from collections.abc import Sequence

from squeezelab.codecs._frame import read_varint, read_varints, varint
from squeezelab.dataset import SeriesKey
from squeezelab.errors import CorruptDataError


def encode_keys(keys: Sequence[SeriesKey]) -> bytes:
    r"""Return the dictionary of these series.

    Examples
    --------
    >>> encode_keys([SeriesKey("up", {"host": "a"})])
    b'\x03\x02up\x04host\x01a\x01\x00\x01\x01\x02'
    """
    numbers: dict[str, int] = {}
    body = bytearray(varint(len(keys)))

    def refer(text: str) -> None:
        body.extend(varint(numbers.setdefault(text, len(numbers))))

    for key in keys:
        refer(key.metric_name)
        body += varint(len(key.labels))
        for name, value in key.labels.items():
            refer(name)
            refer(value)
    strings = bytearray(varint(len(numbers)))
    for text in numbers:
        encoded = text.encode("utf-8", "surrogatepass")
        strings += varint(len(encoded)) + encoded
    return bytes(strings + body)


def decode_keys(data: bytes) -> list[SeriesKey]:
    """Return the series of a dictionary.

    Raises
    ------
    CorruptDataError
        If the bytes are not one whole dictionary.
    """
    count, at = read_varint(data, 0)
    strings = []
    for _ in range(count):
        size, at = read_varint(data, at)
        try:
            strings.append(data[at : at + size].decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError as error:
            raise CorruptDataError("the series dictionary holds a string that is not UTF-8") from error
        at += size

    numbers = read_varints(data, at)
    keys, at = [], 1
    try:
        for _ in range(numbers[0]):
            name, size = strings[numbers[at]], numbers[at + 1]
            pairs = [strings[number] for number in numbers[at + 2 : at + 2 + 2 * size]]
            if len(pairs) != 2 * size:
                raise CorruptDataError("the series dictionary ends too early")
            keys.append(SeriesKey(name, dict(zip(pairs[::2], pairs[1::2], strict=True))))
            at += 2 + 2 * size
    except IndexError as error:
        raise CorruptDataError("the series dictionary refers to a string that it lacks, or ends too early") from error
    if at != len(numbers):
        raise CorruptDataError(f"{len(numbers) - at} numbers follow the series dictionary: it is damaged")
    return keys
