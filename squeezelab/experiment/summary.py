"""Proofs and timings of series summed up as measurements: of each metric family, and of all together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from squeezelab.codecs import ColumnCodec
from squeezelab.dataset import RAW_BYTES_PER_SAMPLE, SeriesKey, combine_digests
from squeezelab.experiment.proof import Proof
from squeezelab.experiment.timing import Cell, Timing
from squeezelab.experiment.trial import Codecs, Proven
from squeezelab.formats import Format
from squeezelab.results import ALL, DatasetFacts, Measurement


def summarize(
    keys: Sequence[SeriesKey],
    lengths: npt.NDArray[np.int64],
    codecs: Codecs,
    proven: Proven,
    timings: Mapping[str, Mapping[str, Timing]],
    scope: str = ALL,
    value_bytes: npt.NDArray[np.int64] | None = None,
) -> Iterator[Measurement]:
    """Yield for each codec a measurement of each metric family whose dtypes it takes, then one of all, likewise.

    Parameters
    ----------
    keys, lengths
        The series that were proven, and the samples of each.
    codecs : mapping
        By subject, by name.
    proven : Proven
        What came of them.
    timings : mapping
        By subject, by name; of those that were timed.
    scope : {"all", "common"}
        What the series are of the data set.
    value_bytes : int64[series], optional
        Of a value of each, where that is not 8.
    """
    families: dict[str | None, list[int]] = {}
    for number, key in enumerate(keys):
        families.setdefault(key.metric_name, []).append(number)
    families[None] = list(range(len(keys)))
    for subject, by_name in proven.proofs.items():
        sizes = lengths * (8 if value_bytes is None or subject == "timestamps" else value_bytes)
        for name, proofs in by_name.items():
            for family, numbers in families.items():
                some = [proof for i in numbers if (proof := proofs[i])]
                if len(some) < len(numbers):  # of a dtype that the codec does not take
                    continue
                timing = timings.get(subject, {}).get(name) if family is None else None
                raw = int(sizes[numbers].sum())
                yield summary(subject, name, codecs[subject][name], family, lengths[numbers], some, timing, scope, raw)


def item_bytes(subject: str) -> int:
    """Return the raw bytes of an item of a column, or of a sample of a data set, whose values have 8 bytes."""
    return RAW_BYTES_PER_SAMPLE if subject == "dataset" else 8


def timed_bytes(subject: str, timing: Timing) -> int:
    """Return the raw bytes of what was timed."""
    return timing.raw_bytes or item_bytes(subject) * timing.samples


def speed_interval(raw_bytes: int, cell: Cell) -> tuple[float, float] | None:
    """Return the ends between which a speed lies, in megabytes a second."""
    if cell.interval is None:
        return None
    fastest, slowest = cell.interval
    return raw_bytes / slowest / 1e6, raw_bytes / fastest / 1e6


def sized(
    subject: str,
    codec: str,
    metric: str | None,
    samples: int,
    raw_bytes: int,
    encoded_bytes: int,
    exact: bool,
    kind: str,
) -> Measurement:
    """Return the measurement of what was proven and not timed."""
    return Measurement(
        subject=subject,
        metric=metric,
        codec=codec,
        samples=samples,
        raw_bytes=raw_bytes,
        encoded_bytes=encoded_bytes,
        ratio=raw_bytes / encoded_bytes if encoded_bytes else 0.0,
        bits_per_item=8 * encoded_bytes / samples if samples else 0.0,
        encode_mb_s=None,
        decode_mb_s=None,
        timed_samples=0,
        bit_exact=exact,
        proven_samples=samples,
        lossy=not exact,
        kind=kind,
    )


def summary(
    subject: str,
    name: str,
    coder: ColumnCodec | Format,
    metric: str | None,
    lengths: npt.NDArray[np.int64],
    proofs: Sequence[Proof],
    timing: Timing | None = None,
    scope: str = ALL,
    raw_bytes: int | None = None,
) -> Measurement:
    """Sum up the proofs of some series, and the timing where there is one."""
    samples, encoded = int(lengths.sum()), sum(proof.encoded_bytes for proof in proofs)
    exact = all(proof.bit_exact for proof in proofs)
    # What may lose bits is not ranked among what cannot, even on data where it happened to lose none.
    lossy = not exact or (subject == "values" and coder.lossy)
    raw = item_bytes(subject) * samples if raw_bytes is None else raw_bytes
    measurement = replace(
        sized(subject, name, metric, samples, raw, encoded, exact, coder.kind),
        lossy=lossy,
        largest_error=max(proof.largest_error for proof in proofs) if lossy else None,
        relative_error=max((p.relative_error for p in proofs if p.relative_error is not None), default=None),
        frames_digest=combine_digests(proof.digest for proof in proofs),
        whole_file=isinstance(coder, Format) and coder.whole_file,
        scope=scope,
    )
    return _with_speeds(measurement, timing) if timing else measurement


def _with_speeds(measurement: Measurement, timing: Timing) -> Measurement:
    raw_bytes = timed_bytes(measurement.subject, timing)
    cells = timing.encode, timing.decode
    return replace(
        measurement,
        encode_mb_s=raw_bytes / timing.encode.seconds / 1e6,
        decode_mb_s=raw_bytes / timing.decode.seconds / 1e6,
        encode_ci=speed_interval(raw_bytes, timing.encode),
        decode_ci=speed_interval(raw_bytes, timing.decode),
        encode_call_us=timing.encode_call and 1e6 * timing.encode_call,
        decode_call_us=timing.decode_call and 1e6 * timing.decode_call,
        encode_bulk_mb_s=timing.bulk("encode", raw_bytes),
        decode_bulk_mb_s=timing.bulk("decode", raw_bytes),
        encode_many_mb_s=timing.encode_many,
        decode_many_mb_s=timing.decode_many,
        rounds=min(cell.rounds for cell in cells),
        timed_seconds=min(cell.timed_seconds for cell in cells),
        noisy=any(cell.noisy for cell in cells),
        timed_samples=timing.samples,
    )


def counted(part: Measurement, facts: DatasetFacts) -> Measurement:
    """Return the measurement of a part of the text with the exact size of the whole text in its place."""
    return replace(
        part,
        samples=facts.samples,
        raw_bytes=facts.raw_bytes,
        encoded_bytes=facts.ndjson_bytes,
        ratio=facts.raw_bytes / facts.ndjson_bytes,
        bits_per_item=8 * facts.ndjson_bytes / facts.samples,
    )
