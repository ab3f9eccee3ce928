"""Service documents: a line of JSON for every service and second, and the same stream as metric series.

All random numbers follow from (seed, second, service) by counting (`squeezelab.generators._random_bits`), so that any
part of the stream can be made anywhere, and is the same whoever makes it.
"""

from __future__ import annotations

import numpy as np

from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.generators._blocks import fill_in_blocks
from squeezelab.generators._random_bits import GOLDEN, U, bits, mix, stream_key
from squeezelab.generators._services import FIXED_POINT, HUNDREDTHS, Layout, Services, lay_out, read_services
from squeezelab.generators.synthetic import START
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import load_word, store_word

VERSION = "1"
"""Goes up whenever a change here changes the documents."""

SECONDS = {"small": 2_000, "big": 20_000, "huge": 4_000_000}
"""Length of the stream that becomes metric series: a second is 25 samples with the default table."""

_PURPOSE = U(200)
_STAMP = len('{"@timestamp":"2024-01-01T00:00:00Z')
LONGEST_NUMBERS = 2 * len("100000.00") + 32 + len('","span.id":"') + 16


def longest_line(layout: Layout) -> int:
    """Return the most bytes that a line can take, and what kernels write beyond it."""
    return _STAMP + 4 * int(layout.lengths.max()) + LONGEST_NUMBERS + 64


@kernel(forceinline=True)
def _draw(key, index, service, variant_of, transaction_of, latency, amount, bell):
    """Draw one document: its variant, latency and amount in hundredths, transaction, and three words of identity."""
    own = mix(key + index * GOLDEN)
    word = bits(own, U(0))
    low = U(0xFFFF)
    variant = np.int64(variant_of[service, word & low])
    transaction = np.int64(transaction_of[service, (word >> U(16)) & low])
    took = _place(latency, variant, np.int64(bell[(word >> U(32)) & low]))
    paid = _place(amount, service, np.int64(bell[word >> U(48)]))
    return variant, took, transaction, paid, bits(own, U(1)), bits(own, U(2)), bits(own, U(3))


@kernel(forceinline=True)
def _place(table, row, deviations):
    """Return mean + deviation * deviations, rounded and kept within the range."""
    value = table[row, 0] + (table[row, 1] * deviations + FIXED_POINT // 2) // FIXED_POINT
    return min(max(value, table[row, 2]), table[row, 3])


@kernel
def draw_documents(seed, first, layout, variants, latencies, transactions, amounts):
    """Fill arrays of [seconds, services] with what the documents from second ``first`` on say."""
    variant_of, transaction_of, latency, amount, bell = layout[:5]
    key = stream_key(seed, _PURPOSE, U(0))
    services = variant_of.shape[0]
    for i in range(variants.shape[0]):
        for service in range(services):
            index = U(first + i) * U(services) + U(service)
            drawn = _draw(key, index, service, variant_of, transaction_of, latency, amount, bell)
            variants[i, service], latencies[i, service], transactions[i, service], amounts[i, service] = drawn[:4]


@kernel
def write_documents(seed, first, seconds, layout, buffer):
    """Write the lines of some seconds into a buffer; return their bytes."""
    variant_of, transaction_of, latency, amount, bell, texts, starts, lengths = layout[:8]
    key = stream_key(seed, _PURPOSE, U(0))
    services, variants = variant_of.shape[0], latency.shape[0]
    at = U(0)
    for second in range(first, first + seconds):
        stamp = at
        for service in range(services):
            index = U(second) * U(services) + U(service)
            variant, took, transaction, paid, trace_high, trace_low, span = _draw(
                key, index, service, variant_of, transaction_of, latency, amount, bell
            )
            at = _copy(buffer, at, buffer, stamp, U(_STAMP)) if service else _write_stamp(buffer, at, second)
            at = _copy_piece(buffer, at, texts, starts, lengths, 2 * variant)
            at = _write_hundredths(buffer, at, U(took))
            at = _copy_piece(buffer, at, texts, starts, lengths, 2 * variant + 1)
            at = _write_hex(buffer, _write_hex(buffer, at, trace_high), trace_low)
            # '","span.id":"'
            store_word(buffer, at, U(0x222C227370616E2E))
            store_word(buffer, at + U(8), U(0x6964223A22000000))
            at = _write_hex(buffer, at + U(13), span)
            if transaction >= 0:
                at = _copy_piece(buffer, at, texts, starts, lengths, 2 * (variants + transaction))
                at = _write_hundredths(buffer, at, U(paid))
                at = _copy_piece(buffer, at, texts, starts, lengths, 2 * (variants + transaction) + 1)
            else:
                at = _copy_piece(buffer, at, texts, starts, lengths, lengths.size - 1)
    return at


@kernel(forceinline=True)
def _copy(buffer, at, source, start, length):
    """Copy bytes in whole words, writing up to seven more; return the byte after them."""
    for i in range(U(0), length, U(8)):
        store_word(buffer, at + U(i), load_word(source, start + U(i)))
    return at + length


@kernel(forceinline=True)
def _copy_piece(buffer, at, texts, starts, lengths, piece):
    return _copy(buffer, at, texts, U(starts[piece]), U(lengths[piece]))


@kernel(forceinline=True)
def _write_hex(buffer, at, word):
    """Write 16 hexadecimal digits."""
    store_word(buffer, at, _hex_digits(word >> U(32)))
    store_word(buffer, at + U(8), _hex_digits(word & U(0xFFFFFFFF)))
    return at + U(16)


@kernel(forceinline=True)
def _hex_digits(half):
    """Return 32 bits as eight characters: its nibbles spread over bytes, those above 9 moved on to the letters."""
    spread = (half | half << U(16)) & U(0x0000FFFF0000FFFF)
    spread = (spread | spread << U(8)) & U(0x00FF00FF00FF00FF)
    spread = (spread | spread << U(4)) & U(0x0F0F0F0F0F0F0F0F)
    letters = ((spread + U(0x0606060606060606)) >> U(4)) & U(0x0101010101010101)
    return spread + U(0x3030303030303030) + letters * U(0x27)


@kernel(forceinline=True)
def _write_hundredths(buffer, at, number):
    """Write a number of hundredths as json.dumps writes it: at least one decimal, no zero after it."""
    whole, rest = number // U(100), number % U(100)
    place = U(1)
    while place * U(10) <= whole:
        place *= U(10)
    while place:
        buffer[at] = U(48) + whole // place % U(10)
        place //= U(10)
        at += U(1)
    buffer[at] = U(46)
    buffer[at + U(1)] = U(48) + rest // U(10)
    buffer[at + U(2)] = U(48) + rest % U(10)
    return at + (U(3) if rest % U(10) else U(2))


@kernel
def _write_stamp(buffer, at, second):
    """Write the beginning of a line and a time in UTC; dates after H. Hinnant, "chrono-compatible low-level dates"."""
    days, clock = second // 86400, second % 86400
    shifted = days + 719468
    era = shifted // 146097
    day_of_era = shifted - era * 146097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    # '{"@timestamp":"'
    store_word(buffer, at, U(0x7B224074696D6573))
    store_word(buffer, at + U(8), U(0x74616D70223A2200))
    at = _write_pair(buffer, _write_pair(buffer, at + U(15), year // 100, U(0)), year % 100, U(45))
    at = _write_pair(buffer, _write_pair(buffer, at, month, U(45)), day, U(84))
    at = _write_pair(buffer, _write_pair(buffer, at, clock // 3600, U(58)), clock // 60 % 60, U(58))
    return _write_pair(buffer, at, clock % 60, U(90))


@kernel(forceinline=True)
def _write_pair(buffer, at, number, after):
    """Write two digits, and a character after them if it is not zero."""
    buffer[at] = U(48) + U(number) // U(10)
    buffer[at + U(1)] = U(48) + U(number) % U(10)
    buffer[at + U(2)] = after
    return at + (U(3) if after else U(2))


def provenance() -> dict[str, str]:
    """Tell what besides size and seed decides the content."""
    return {"version": VERSION}


def generate(size: str, seed: int) -> MetricDataset:
    """Return the stream as metric series, made as arrays: no JSON is written or read.

    Parameters
    ----------
    size : {"small", "big", "huge"}
        2,000, 20,000 or 4 million seconds; 25 series of a sample a second with the default table.
    seed : int
        The same seed gives the documents that ``python main.py documents`` writes for the same seconds.

    Returns
    -------
    MetricDataset
        For each service ``latency_ms``, a counter ``http_responses_total`` for each status it may answer with, and
        ``transaction_amount`` where it has transactions.

    Examples
    --------
    >>> generate("small", seed=0)
    <MetricDataset: 25 series, 50,000 samples>
    """
    services = read_services()
    layout = lay_out(services)
    keys, rows = _plan_series(services, layout)
    seconds = SECONDS[size]
    values = np.empty((len(keys), seconds), np.float64)

    def fill_block(first: int) -> int:
        span = slice(first, min(first + _BLOCK, seconds))
        shape = (span.stop - first, len(services.names))
        variants, latencies, transactions, amounts = (np.empty(shape, np.int32) for _ in range(4))
        draw_documents(U(seed), START + first, layout, variants, latencies, transactions, amounts)
        for row, (service, status) in zip(values, rows, strict=True):
            if status == _LATENCY:
                row[span] = latencies[:, service] / HUNDREDTHS
            elif status == _AMOUNT:
                row[span] = amounts[:, service] / HUNDREDTHS
            else:
                row[span] = layout.status[variants[:, service]] == status
        return shape[0]

    fill_in_blocks(fill_block, seconds, _BLOCK, "seconds", None)
    for row, (_, status) in zip(values, rows, strict=True):
        if status not in (_LATENCY, _AMOUNT):
            np.cumsum(row, out=row)
    offsets = np.arange(len(keys) + 1, dtype=np.int64) * seconds
    return MetricDataset(keys, offsets, np.tile(START + np.arange(seconds), len(keys)), values.reshape(-1))


_BLOCK = 100_000
_LATENCY, _AMOUNT = -1, -2


def _plan_series(services: Services, layout: Layout) -> tuple[list[SeriesKey], list[tuple[int, int]]]:
    """Return the keys of all series, and for each its service and status, or what it holds in place of a status."""
    keys, rows = [], []
    for service, name in enumerate(services.names):
        statuses = sorted({variant.status for variant in services.variants[service]})
        keys.append(SeriesKey("latency_ms", {"service": name}))
        keys += [SeriesKey("http_responses_total", {"service": name, "status_code": str(one)}) for one in statuses]
        rows += [(service, _LATENCY), *((service, one) for one in statuses)]
        if services.amounts[service]:
            keys.append(SeriesKey("transaction_amount", {"service": name}))
            rows.append((service, _AMOUNT))
    return keys, rows
