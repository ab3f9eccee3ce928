"""The methods: each makes values smaller within a bound, through bytes and back.

A method is given plain values only: NaN, infinities and -0.0 are taken out before and put back after, bit by bit
(`lose`). What it restores is always what came out of its bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from squeezelab.codecs import get_codec
from squeezelab.codecs._frame import FLOAT64, Bytes, pack_frame
from squeezelab.kernels.segments import merge_slopes, pmc_mean, put_numbers, sim_pieces, swing, take_numbers
from squeezelab.losses.bounds import Bound, Floats, Verdict, is_special, verdict

Integers = npt.NDArray[np.int64]

SINGLE: np.dtype[np.floating] = np.dtype(np.float32)
DOUBLE: np.dtype[np.floating] = np.dtype(np.float64)
LOSSLESS = ("zstd:level=19", "tally", "pattern")
"""What rounded values are given to, one by one."""
AS_IT_IS, SQUEEZED = "as it is", "zstd:level=19"
EXACT_POWER = 22
"""Powers of ten up to this one are doubles without rounding."""
MANTISSA = 52
SHARPEST_STEP = 2.0**52
SAFETY = 1e-9, 1e-13
"""What is kept back of bounds on logarithms, as a share and absolute: both functions round."""


@dataclass(frozen=True)
class Packed:
    """Values that went through a method's bytes.

    Attributes
    ----------
    restored : float64[n]
        What came back.
    sizes : mapping of str to int
        Bytes, by how they are stored; each with the lab's header and checksum.
    exact : bool
        Whether the method gave up, and stored the values as they are.
    """

    restored: Floats
    sizes: Mapping[str, int]
    exact: bool = False


@dataclass(frozen=True)
class Loss:
    """What a method made of a column, specials included.

    Attributes
    ----------
    restored : float64[n]
    sizes : mapping of str to int
        As in `Packed`.
    verdict : Verdict
        What the check of every sample says.
    exact : bool
        As in `Packed`.
    """

    restored: Floats
    sizes: Mapping[str, int]
    verdict: Verdict
    exact: bool


class Method(ABC):
    """Base of all methods.

    Attributes
    ----------
    name, title : str
        On the command line, and in tables and charts.
    source : str
        The paper or project.
    bounds : mapping of str to str
        The kinds of bound it keeps, each with a word on how.
    package : str or None
        What it needs of PyPI.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    bounds: ClassVar[Mapping[str, str]]
    package: ClassVar[str | None] = None

    @abstractmethod
    def attempts(self, clock: Floats, values: Floats, bound: Bound, allowed: Floats) -> Iterator[Packed]:
        """Yield the values through bytes and back, from the coarsest setting that should do to what surely does.

        Parameters
        ----------
        clock : float64[n]
            Moments, strictly rising; whoever reads has them as well.
        values : float64[n]
            Finite, not all alike.
        bound : Bound
        allowed : float64[n]
            How far each value may be off.
        """


# ---- Rounding: fewer digits, then a lossless codec ----


def _through_lossless(rounded: Floats, exact: bool) -> Packed:
    sizes = {}
    for spec in LOSSLESS:
        codec = get_codec(spec)
        frame = codec.encode(rounded)
        if codec.decode(frame).tobytes() != rounded.tobytes():
            raise ValueError(f"{spec} lost bits")
        sizes[spec] = len(frame)
    return Packed(rounded, sizes, exact)


class BitRounding(Method):
    """Keeps so many bits of every mantissa, rounded to even; numcodecs' BitRound.

    One number of bits is kept throughout a column, so the bound it has by itself is a share of each value, half of the
    last bit kept. For other bounds as many bits are kept as the largest value needs.
    """

    name = "bitround"
    title = "bit rounding"
    source = "numcodecs.BitRound; M. Klöwer et al., Nature Computational Science 1, 2021"
    bounds: ClassVar = {
        "absolute": "as many bits as the largest value needs",
        "range": "as many bits as the largest value needs",
        "value": "by itself",
    }

    def attempts(self, clock: Floats, values: Floats, bound: Bound, allowed: Floats) -> Iterator[Packed]:
        """Round to ever more bits."""
        from numcodecs.bitround import BitRound

        if bound.kind == "value":
            bits = -1 - np.log2(bound.size)
        else:
            bits = np.frexp(np.abs(values).max())[1] - 2 - np.log2(allowed[0]) if allowed[0] else MANTISSA
        fewest = max(0, int(np.ceil(bits)))
        for keep in (fewest, fewest + 1):
            if keep < MANTISSA:
                codec = BitRound(keepbits=keep)
                yield _through_lossless(codec.decode(codec.encode(values.copy())).view(np.float64), False)
        yield _through_lossless(values, True)


class DecimalRounding(Method):
    """Keeps so many digits after the point, or for shares of the value so many significant ones."""

    name = "decimal"
    title = "decimal rounding"
    source = "numpy.round"
    bounds: ClassVar = {
        "absolute": "digits after the point",
        "range": "digits after the point",
        "value": "significant digits",
    }

    def attempts(self, clock: Floats, values: Floats, bound: Bound, allowed: Floats) -> Iterator[Packed]:
        """Round to ever more digits."""
        if bound.kind == "value":
            # Half of the last digit is the largest share of a value that begins with 1.
            magnitude = np.floor(np.log10(np.abs(values), where=values != 0, out=np.zeros_like(values)))
            digits = np.ceil(-np.log10(2 * bound.size) - 1e-9) - magnitude
        else:
            digits = np.full(
                values.shape, np.ceil(-np.log10(allowed[0]) - np.log10(2) - 1e-9) if allowed[0] else np.inf
            )
        for more in (0, 1):
            rounded = round_decimals(values, digits + more)
            if rounded.tobytes() != values.tobytes():
                yield _through_lossless(rounded, False)
        yield _through_lossless(values, True)


def round_decimals(values: Floats, digits: Floats) -> Floats:
    """Return each value rounded to so many digits after its point; before it where there are less than none.

    What comes out is the double nearest to the decimal. Where that takes a power of ten beyond 22, which is no double
    without rounding itself, the value stays.

    Examples
    --------
    >>> round_decimals(np.array([1.25, 0.0301, 1234.0]), np.array([0.0, 3.0, -2.0]))
    array([1.0e+00, 3.0e-02, 1.2e+03])
    """
    places = np.where(np.abs(digits) <= EXACT_POWER, digits, 0.0)
    power = 10.0 ** np.abs(places)
    with np.errstate(all="ignore"):
        rounded = np.where(places >= 0, np.rint(values * power) / power, np.rint(values / power) * power)
    # Rounding towards zero leaves a sign that was not asked for.
    return np.where((np.abs(digits) <= EXACT_POWER) & np.isfinite(rounded), rounded, values) + 0.0


# ---- Pieces: constants and lines, stored as their papers do ----


def _stored(name: str, payload: bytes, count: int) -> dict[str, int]:
    """Return the bytes of a payload as it is, and squeezed, in the lab's frame."""
    squeezed = get_codec(SQUEEZED).squeeze(payload)
    return {
        AS_IT_IS: len(pack_frame(name, FLOAT64, count, payload)),
        SQUEEZED: len(pack_frame(name, FLOAT64, count, squeezed)),
    }


def _raw(name: str, values: Floats) -> Packed:
    """Return values that are stored as they are."""
    return Packed(values, _stored(name, values.tobytes(), values.size), True)


def _narrowed(values: Floats, allowed: Floats, single: bool) -> tuple[Floats, Floats]:
    """Return the lowest and highest that each value may become, where what is stored is rounded after that."""
    most = np.abs(values) + allowed
    spacing = np.spacing(most.astype(np.float32)).astype(np.float64) if single else np.spacing(most)
    narrow = np.maximum(allowed - 2 * spacing, 0.0)
    return values - narrow, values + narrow


class Pieces(Method):
    """Base of what stores pieces: numbers of 4 bytes where these keep the bound, else of 8, else the values."""

    def attempts(self, clock: Floats, values: Floats, bound: Bound, allowed: Floats) -> Iterator[Packed]:
        """Store with numbers of 4 bytes, of 8, and give up."""
        for dtype in (SINGLE, DOUBLE):
            payload = self.pack(clock, values, allowed, dtype)
            restored = self.unpack(np.frombuffer(payload, np.uint8), clock, dtype)
            yield Packed(restored, _stored(self.name, payload, values.size))
        yield _raw(self.name, values)

    @abstractmethod
    def pack(self, clock: Floats, values: Floats, allowed: Floats, dtype: np.dtype[np.floating]) -> bytes:
        """Return the pieces as bytes."""

    @abstractmethod
    def unpack(self, data: Bytes, clock: Floats, dtype: np.dtype[np.floating]) -> Floats:
        """Return the values of all moments."""


class PmcMean(Pieces):
    """Pieces of constant value, each the mean of its samples.

    Notes
    -----
    As in the paper a piece is when it begins, here the number of its first sample in 4 bytes, and its value.
    """

    name = "pmc"
    title = "PMC-mean"
    source = "I. Lazaridis, S. Mehrotra, ICDE 2003"
    bounds: ClassVar = {"absolute": "by itself", "range": "by itself", "value": "each sample with a bound of its own"}

    def pack(self, clock: Floats, values: Floats, allowed: Floats, dtype: np.dtype[np.floating]) -> bytes:
        """Cut, and store the first sample's number and the mean of each piece."""
        starts, means = np.empty(values.size, np.uint32), np.empty(values.size)
        low, high = _narrowed(values, allowed, dtype.itemsize == 4)
        count = int(pmc_mean(values, low, high, starts, means))
        return starts[:count].tobytes() + means[:count].astype(dtype).tobytes()

    def unpack(self, data: Bytes, clock: Floats, dtype: np.dtype[np.floating]) -> Floats:
        """Repeat each mean up to the next piece."""
        starts, means = _columns(data, dtype)
        return np.repeat(means, np.diff(starts, append=clock.size))


class SwingFilter(Pieces):
    """Lines end to end.

    Notes
    -----
    As in the paper a recording is a moment, here the number of its sample in 4 bytes, and a value; a line leads from
    each to the next. Of the slopes that a line may have it takes that of least squares.
    """

    name = "swing"
    title = "swing filter"
    source = "H. Elmeleegy et al., PVLDB 2(1), 2009"
    bounds: ClassVar = {"absolute": "by itself", "range": "by itself", "value": "each sample with a bound of its own"}

    def pack(self, clock: Floats, values: Floats, allowed: Floats, dtype: np.dtype[np.floating]) -> bytes:
        """Join lines, and store their ends."""
        ends, levels = np.empty(values.size + 1, np.uint32), np.empty(values.size + 1)
        low, high = _narrowed(values, allowed, dtype.itemsize == 4)
        count = int(swing(clock, values, low, high, False, ends, levels))
        return ends[:count].tobytes() + levels[:count].astype(dtype).tobytes()

    def unpack(self, data: Bytes, clock: Floats, dtype: np.dtype[np.floating]) -> Floats:
        """Return the lines at all moments."""
        ends, levels = _columns(data, dtype)
        restored: Floats = np.interp(clock, clock[ends], levels)
        return restored


def _columns(data: Bytes, dtype: np.dtype[np.floating]) -> tuple[Integers, Floats]:
    """Return numbers of samples, and values."""
    count = data.size // (4 + dtype.itemsize)
    return data[: 4 * count].view(np.uint32).astype(np.int64), data[4 * count :].view(dtype).astype(np.float64)


# ---- Through logarithms: methods whose bound is the same for all samples ----


class Uniform(Method):
    """Base of methods that know one bound for all samples: shares of the value they keep on logarithms.

    Notes
    -----
    An error of log(1 + e) in a logarithm is one of at most the share e in its value (X. Liang et al., CLUSTER 2018, for
    SZ). Signs are a bit each, zeros exceptions like NaN.
    """

    bounds: ClassVar = {"absolute": "by itself", "range": "by itself", "value": "on logarithms"}

    @abstractmethod
    def evenly(self, clock: Floats, values: Floats, allowed: float) -> Iterator[Packed]:
        """Yield as `Method.attempts`, where each value may be off by as much."""

    def attempts(self, clock: Floats, values: Floats, bound: Bound, allowed: Floats) -> Iterator[Packed]:
        """Yield attempts on the values, or on their logarithms."""
        if bound.kind != "value":
            yield from self.evenly(clock, values, float(allowed[0]))
            return
        zeros = values == 0
        plain, exceptions = take_out(values, zeros)
        negative = plain < 0
        # Signs are worth nothing where there is only one.
        signs = get_codec(SQUEEZED).squeeze(np.packbits(negative)) if negative.any() else b""
        logs = np.log(np.abs(plain))
        share, least = SAFETY
        for packed in self.evenly(clock, logs, np.log1p(bound.size) * (1 - share) - least):
            restored = np.exp(packed.restored)
            restored[negative] *= -1
            restored[zeros] = 0.0
            extra = len(signs) + len(exceptions)
            yield Packed(restored, {store: size + extra for store, size in packed.sizes.items()})
        yield _raw(self.name, values)


class SimPiece(Uniform):
    """Lines that begin at multiples of the bound; those that begin at the same one share slopes.

    Notes
    -----
    Payload, in the order of the paper's format but column by column: the bound; for each multiple the distance to the
    one before, and how many slopes; for each slope its number of pieces; for each piece how far its first sample is
    after that of the piece before; all as LEB128. Then the slopes, 4 bytes each, or 8 where 4 break the bound. The
    paper gives the bound 4 bytes, which moves every multiple: here it has 8. It stores the last moment as well, which
    readers know here.
    """

    name = "simpiece"
    title = "Sim-Piece"
    source = "X. Kitsios et al., PVLDB 16(8), 2023"

    def evenly(self, clock: Floats, values: Floats, allowed: float) -> Iterator[Packed]:
        """Store slopes of 4 bytes, which move lines a little; then keep clear of the bound, and of 8; and give up."""
        if np.abs(values).max() / SHARPEST_STEP < allowed:
            surely = allowed * (1 - SAFETY[0]) - 4 * np.spacing(np.abs(values).max())
            for dtype, within in ((SINGLE, allowed), (SINGLE, 0.99 * allowed), (DOUBLE, surely)):
                payload = pack_sim_pieces(clock, values, allowed, dtype, within)
                restored = unpack_sim_pieces(np.frombuffer(payload, np.uint8), clock, dtype)
                yield Packed(restored, _stored(self.name, payload, values.size))
        yield _raw(self.name, values)


def pack_sim_pieces(
    clock: Floats, values: Floats, bound: float, dtype: np.dtype[np.floating], within: float | None = None
) -> bytes:
    """Return the pieces as `SimPiece` describes them; they keep ``within`` of the values, the bound if not given."""
    starts = np.empty(values.size, np.int64)
    steps, least, most, slopes = np.empty((4, values.size))
    count = sim_pieces(clock, values, bound, bound if within is None else within, starts, steps, least, most)
    order = np.lexsort((least[:count], steps[:count]))
    starts, steps, least, most = starts[order], steps[order], least[order], most[order]
    groups = np.empty(count, np.int64)
    slopes = slopes[: merge_slopes(steps, least, most, groups, slopes)].astype(dtype)
    # Pieces of a group in the order of time.
    starts = starts[np.lexsort((starts, groups))]
    heads = np.flatnonzero(np.diff(groups, prepend=-1))
    whole = steps[heads].astype(np.int64)
    multiples = np.flatnonzero(np.diff(whole, prepend=whole[0] - 1))
    distances = np.diff(starts, prepend=0)
    distances[heads] = starts[heads]
    columns = (
        (np.array([multiples.size]), False),
        (np.diff(whole[multiples], prepend=0), True),
        (np.diff(multiples, append=whole.size), False),
        (np.diff(heads, append=count), False),
        (distances, False),
    )
    buffer = np.empty(10 * sum(column.size for column, _ in columns), np.uint8)
    at = np.uint64(0)
    for column, signed in columns:
        at = np.uint64(put_numbers(column, signed, buffer, at))
    return np.float64(bound).tobytes() + buffer[: int(at)].tobytes() + slopes.tobytes()


def unpack_sim_pieces(data: Bytes, clock: Floats, dtype: np.dtype[np.floating]) -> Floats:
    """Return the lines at all moments."""
    at = np.uint64(8)

    def take(count: int, signed: bool = False) -> Integers:
        nonlocal at
        numbers = np.empty(count, np.int64)
        at = np.uint64(take_numbers(data, at, signed, numbers))
        return numbers

    bound = float(data[:8].view(np.float64)[0])
    (count,) = take(1).tolist()
    multiples, slopes_each = np.cumsum(take(count, True)), take(count)
    pieces_each = take(int(slopes_each.sum()))
    distances = take(int(pieces_each.sum()))
    slopes = np.repeat(data[int(at) :].copy().view(dtype).astype(np.float64), pieces_each)
    steps = np.repeat(np.repeat(multiples, slopes_each), pieces_each)
    heads = np.cumsum(pieces_each) - pieces_each
    total = np.cumsum(distances)
    starts = total - np.repeat(total[heads] - distances[heads], pieces_each)
    order = np.argsort(starts)
    lengths = np.diff(starts[order], append=clock.size)
    since = clock - np.repeat(clock[starts[order]], lengths)
    restored: Floats = np.repeat(steps[order] * bound, lengths) + np.repeat(slopes[order], lengths) * since
    return restored


class Sz3(Uniform):
    """SZ3 with its default of interpolation or Lorenzo's predictor, whichever it finds better."""

    name = "sz3"
    title = "SZ3"
    source = "pysz; X. Liang et al., IEEE Transactions on Big Data 9(2), 2023"
    package = "pysz"

    def evenly(self, clock: Floats, values: Floats, allowed: float) -> Iterator[Packed]:
        """Compress once: a bound that is broken is to be seen."""
        from pysz import sz, szConfig, szErrorBoundMode

        config = szConfig()
        config.errorBoundMode = szErrorBoundMode.ABS
        config.absErrorBound = allowed
        compressed, _ = sz.compress(values.copy(), config)
        restored, _ = sz.decompress(compressed, np.float64, values.shape)
        yield Packed(restored, _stored(self.name, compressed.tobytes(), values.size))


class Zfp(Uniform):
    """ZFP in its mode of fixed accuracy, on a column as an array of one dimension."""

    name = "zfp"
    title = "ZFP"
    source = "zfpy; P. Lindstrom, IEEE TVCG 20(12), 2014"
    package = "zfpy"

    def evenly(self, clock: Floats, values: Floats, allowed: float) -> Iterator[Packed]:
        """Compress once: a bound that is broken is to be seen."""
        import zfpy

        # A tolerance of 0 is zfpy's word for none given; less than the smallest double has no bit planes to cut.
        compressed = zfpy.compress_numpy(values.copy(), tolerance=max(allowed, np.finfo(np.float64).tiny))
        restored = zfpy.decompress_numpy(compressed)
        yield Packed(restored, _stored(self.name, compressed, values.size))


METHODS: Mapping[str, Method] = {
    one.name: one for one in (BitRounding(), DecimalRounding(), PmcMean(), SwingFilter(), SimPiece(), Sz3(), Zfp())
}


# ---- Any column ----


def take_out(values: Floats, marked: npt.NDArray[np.bool_]) -> tuple[Floats, bytes]:
    """Return a column with what is marked replaced by the value before it, and bytes that put it back.

    Examples
    --------
    >>> take_out(np.array([np.nan, 1.0, np.inf, 2.0]), np.array([True, False, True, False]))[0]
    array([1., 1., 1., 2.])
    """
    where = np.flatnonzero(marked)
    if not where.size:
        return values, b""
    if where.size == values.size:
        plain = np.zeros_like(values)
    else:
        before = np.maximum.accumulate(np.where(marked, -1, np.arange(values.size)))
        plain = values[np.where(before < 0, np.argmin(marked), before)]
    codec = get_codec("tally")
    return plain, codec.encode(where) + codec.encode(values[where].view(np.int64))


def strictly_rising(timestamps: Integers) -> Floats:
    """Return moments since the first; the numbers of the samples where two are of one moment or out of order."""
    clock = (timestamps - timestamps[0]).astype(np.float64)
    return clock if np.all(np.diff(clock) > 0) else np.arange(clock.size, dtype=np.float64)


def lose(method: Method, timestamps: Integers, values: Floats, bound: Bound) -> Loss:
    """Take a column through a method within a bound, and check every sample.

    Parameters
    ----------
    method : Method
        One that keeps bounds of this kind.
    timestamps : int64[n]
    values : float64[n]
        One or more.
    bound : Bound

    Notes
    -----
    NaN, infinities and -0.0 are exceptions: their places and bits are stored apart and put back. A column of which all
    other values are alike is stored as that value, whatever the method.

    Examples
    --------
    >>> values = np.array([1.0, 1.2, np.nan, 5.0])
    >>> loss = lose(METHODS["pmc"], np.arange(4), values, Bound("absolute", 0.2))
    >>> loss.restored.round(1), loss.verdict.kept
    (array([1.1, 1.1, nan, 5. ]), True)
    """
    allowed = bound.allowed(values)
    special = is_special(values)
    plain, exceptions = take_out(values, special)
    within = bound.allowed(plain) if bound.kind == "value" else np.full(values.shape, allowed.max())
    packed = _alike(method, plain) if plain.max() == plain.min() else None
    if packed is None:
        # Extremes overflow on the way: what comes out is checked.
        with np.errstate(all="ignore"):
            for packed in method.attempts(strictly_rising(timestamps), plain, bound, within):
                if verdict(plain, packed.restored, within).kept:
                    break
    assert packed is not None
    restored = packed.restored.copy()
    restored[special] = values[special]
    sizes = {store: size + len(exceptions) for store, size in packed.sizes.items()}
    return Loss(restored, sizes, verdict(values, restored, allowed), packed.exact)


def _alike(method: Method, values: Floats) -> Packed:
    """Return a column of one value."""
    size = len(pack_frame(method.name, FLOAT64, values.size, values[:1].tobytes()))
    stores = LOSSLESS if isinstance(method, BitRounding | DecimalRounding) else (AS_IT_IS, SQUEEZED)
    return Packed(values, dict.fromkeys(stores, size))
