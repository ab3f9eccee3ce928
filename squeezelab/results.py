"""results.json: what a run measured, on what data, on what machine, with what settings."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any

import msgspec

from squeezelab.errors import CorruptDataError
from squeezelab.store.files import replacing

SCHEMA = 4
"""4: ``advice``; ``returned`` of engines can be null; ``shares``; ``block``, ``encode_many_mb_s`` and
``decode_many_mb_s`` of measurements, ``blocks`` of data sets. 3: ``engines``. 2: ``scope``, ``encode_call_us``,
``decode_call_us``, ``encode_bulk_mb_s``, ``decode_bulk_mb_s``, ``fixed_bytes`` and ``further_bytes`` of measurements;
infinite errors are null. 1: the first. Each reads the ones before it."""
ALL, COMMON = "all", "common"
"""What a measurement is of: as much as a codec ran on, or the samples that all of them ran on."""
ENOUGH, UNITS_IN_LAST_PLACE, MOST_DECIMALS = 0.99, 4, 15
"""Values are decimals of some digits when this share of them is, to within these units; of at most these digits."""
NOISY_WIDTH = 0.1
"""A speed is noisy when the interval of the time it was reckoned from is wider than this share of that time."""


@dataclass(frozen=True)
class Run:
    """When, where and with what a run was made.

    Attributes
    ----------
    started : str
        When, in ISO 8601, UTC.
    python, platform, cpu : str
        Version of Python, operating system, and name of the processor.
    cores : int
        How many the system counts.
    versions : dict of str to str
        Of the packages that decide what is measured.
    seconds : float
        How long the run took, the report left out.
    peak_rss_mb : float or None
        The most megabytes (10**6) of memory that the process had.
    stages : dict of str to float
        Seconds of each stage.
    rounds : int
        Turns that every speed is the median of, at least.
    notes : list of str
        Sentences on what was not as usual.
    governor : str or None
        How the first processor's frequency is governed, where the system tells.
    commit : str or None
        Of the checkout that squeezelab ran from, with ``-dirty`` appended where files differ from it; None for none.
    settings : dict
        What was asked for: codecs, formats, budget, and all else that was chosen.
    busy : float or None
        About how many other processes were running, where so many were that times are those of a busy machine.
    """

    started: str
    python: str
    platform: str
    cpu: str
    cores: int
    versions: dict[str, str]
    seconds: float
    peak_rss_mb: float | None
    stages: dict[str, float]
    rounds: int = 0
    notes: list[str] = field(default_factory=list)
    governor: str | None = None
    commit: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    busy: float | None = None


@dataclass(frozen=True)
class Block:
    """A block of a Prometheus TSDB, as it lies on disk.

    Attributes
    ----------
    name : str
        Of its folder.
    start, stop : int
        Its first millisecond, and the one that it stops before.
    samples : int
        How many numbers it says that it holds.
    histograms : int or None
        How many native histograms besides; None where it does not tell, and counts them among its samples.
    samples_bytes, index_bytes : int
        Of its chunks and of its index.
    """

    name: str
    start: int
    stop: int
    samples: int
    histograms: int | None
    samples_bytes: int
    index_bytes: int


@dataclass(frozen=True)
class DatasetFacts:
    """What was measured.

    Attributes
    ----------
    generator, size : str
        Where the data come from and how much it is; ``file`` and a name for data of a user's own.
    seed : int
        What the generator was given.
    provenance : dict of str to str
        Versions, commits and files that decide the content.
    series, samples : int
        How many there are.
    fingerprint : str
        XXH3-128 of all names, labels, timestamps and values, in hex.
    zero_dod_share : float or None
        Share of the deltas of deltas of timestamps that are zero; None where there are none.
    delta_of_delta_counts : list of int
        How many there are from -N to N, all beyond in the first and last entry.
    raw_bytes, ndjson_bytes, dictionary_bytes : int
        16 bytes a sample, 12 of float32; the text of all samples; names and labels of all series.
    blocks : list of Block
        What a TSDB lay in, the earliest first.
    dtypes : dict of str to int
        How many series have values of float64, int64 and float32; empty in results before schema 4.
    """

    generator: str
    size: str
    seed: int
    provenance: dict[str, str]
    series: int
    samples: int
    fingerprint: str
    zero_dod_share: float | None
    delta_of_delta_counts: list[int]
    raw_bytes: int
    ndjson_bytes: int
    dictionary_bytes: int
    blocks: list[Block] = field(default_factory=list)
    dtypes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """One codec or format on one subject.

    Attributes
    ----------
    subject : {"timestamps", "values", "dataset", "samples", "index"}
        What was encoded; of shares, which bytes of a file they are.
    metric : str or None
        The metric family, None for all of them.
    codec : str
        Specification of the codec, or name of the format.
    samples, raw_bytes, encoded_bytes : int
        What the sizes cover, before and after; 8 raw bytes an item of a column, 16 a sample of a data set; of float32
        4 and 12.
    ratio, bits_per_item : float
        Raw by encoded bytes; encoded bits of a column's item or a data set's sample.
    encode_mb_s, decode_mb_s : float or None
        Raw megabytes (10**6) a second, one thread, median over the rounds; None where not timed.
    encode_ci, decode_ci : tuple of two floats, or None
        The bootstrap 95 % interval of either speed, low and high; None where there were too few rounds to tell.
    rounds : int
        How many turns either speed is the median of, at least.
    timed_seconds : float
        How long either direction was timed in all, at least.
    noisy : bool
        Whether the `relative_width` of an interval is more than `NOISY_WIDTH`.
    timed_samples : int
        How many of the samples the speeds were measured on.
    bit_exact : bool
        Whether every bit came back, of the samples that were proven.
    proven_samples : int
        How many of the samples were decoded and compared.
    lossy : bool
        Whether numbers may come back changed: one did, or the codec is one of those that lose bits.
    largest_error : float or None
        The largest difference, where lossy; infinite where a number became none, or the other way round, which is null
        in results.json.
    relative_error : float or None
        The root mean square of all differences, each as a share of its series' range, where a lossy format says it.
    frames_digest : str
        XXH3-128 of the XXH3-128 of every frame or file, in the order of their series, in hex: equal where all encoded
        bytes are.
    encode_peak_mb, decode_peak_mb : float or None
        Megabytes (10**6) of memory that a format took at its highest for the samples that were proven, beyond what was
        there before; None where the system does not tell.
    encode_call_us, decode_call_us : float or None
        Microseconds that a call takes which has next to nothing to do.
    encode_bulk_mb_s, decode_bulk_mb_s : float or None
        The speeds without what calls cost.
    encode_many_mb_s, decode_many_mb_s : float or None
        The speeds where one call takes many short series; None of codecs that gain nothing by it, and of long series.
    scope : {"all", "common"}
        Whether this is of as much as the codec ran on, or of the samples that all codecs ran on, where these differ.
    fixed_bytes, further_bytes : float or None
        Of a file: bytes that it takes however little it holds, and those of each further sample.
    kind : str
        Where the codec or format comes from: ``papers``, ``general``, ``peers`` or ``ours``.
    whole_file : bool
        Whether the speeds are those of a database that is opened, filled or read, and closed.
    block : str or None
        Of a share: the block that it is of, empty for the samples that are in none yet; None for all of them.
    """

    subject: str
    metric: str | None
    codec: str
    samples: int
    raw_bytes: int
    encoded_bytes: int
    ratio: float
    bits_per_item: float
    encode_mb_s: float | None
    decode_mb_s: float | None
    timed_samples: int
    bit_exact: bool
    proven_samples: int
    lossy: bool
    largest_error: float | None = None
    frames_digest: str = ""
    kind: str = "general"
    whole_file: bool = False
    relative_error: float | None = None
    encode_ci: tuple[float, float] | None = None
    decode_ci: tuple[float, float] | None = None
    rounds: int = 0
    timed_seconds: float = 0.0
    noisy: bool = False
    encode_peak_mb: float | None = None
    decode_peak_mb: float | None = None
    encode_call_us: float | None = None
    decode_call_us: float | None = None
    encode_bulk_mb_s: float | None = None
    decode_bulk_mb_s: float | None = None
    encode_many_mb_s: float | None = None
    decode_many_mb_s: float | None = None
    scope: str = ALL
    fixed_bytes: float | None = None
    further_bytes: float | None = None
    block: str | None = None


@dataclass(frozen=True)
class Access:
    """How long a format takes for a little of a file: seconds for one series or a part of it, median over some series.

    Attributes
    ----------
    codec : str
        Name of the format.
    one_sample_s, one_series_s, one_hour_s : float
        Seconds to read one sample, all of one series, and an hour of one, from a file in memory that is open.
    samples, file_bytes : int
        What the file holds.
    decodes_all : bool
        Whether the format has no other way than to decode the whole file: its three times are one.
    bit_exact : bool
        Whether what was read is what was written.
    """

    codec: str
    one_sample_s: float
    one_series_s: float
    one_hour_s: float
    samples: int = 0
    file_bytes: int = 0
    decodes_all: bool = False
    bit_exact: bool = True


@dataclass(frozen=True)
class Returned:
    """What came back of the samples that a database was given, compared bit by bit.

    Attributes
    ----------
    series_lost, series_added : int
        Series of which nothing came back, and series that nobody gave.
    samples_lost, samples_added : int
        Samples that did not come back, those of lost series included, and samples that nobody gave.
    special_lost : int
        How many of the lost ones were NaN or infinite.
    times_moved : int
        Samples that came back at another time.
    largest_move_s : float
        By how many seconds at most.
    values_changed : int
        Finite values that came back with other bits; -0.0 is counted apart.
    largest_relative_change : float
        The largest change of one, as a share of what was given; infinite where 0 became something else or a number
        became none, which is null in results.json.
    nans_changed, infinities_changed, zeros_changed : int
        NaN, infinities and -0.0 that came back with other bits.
    """

    series_lost: int = 0
    series_added: int = 0
    samples_lost: int = 0
    samples_added: int = 0
    special_lost: int = 0
    times_moved: int = 0
    largest_move_s: float = 0.0
    values_changed: int = 0
    largest_relative_change: float = 0.0
    nans_changed: int = 0
    infinities_changed: int = 0
    zeros_changed: int = 0

    @property
    def exact(self) -> bool:
        """Whether every bit of every sample came back, and nothing else."""
        return self == Returned()


@dataclass(frozen=True)
class EngineMeasurement:
    """A database at one setting, run as its users run it.

    Attributes
    ----------
    engine : str
        Its name and what was set in it; the bare name is the database as it comes.
    title, version : str
        What people call it, and what ran.
    series, samples : int
        What it was given.
    parts : dict of str to int
        Bytes on disk after compaction: of values, timestamps, samples that have both in one, index and rest; what a log
        holds until it is given back stands here, and counts in no sum.
    bytes_on_disk : int
        The sum of the parts without the log.
    returned : Returned or None
        What came back of all samples; None where the time was over before everything was read.
    queries_agree : bool
        Whether the queries of an hour gave what reading everything gave.
    fixed_bytes, further_bytes : float or None
        Bytes that it takes however little it holds, and those of each further sample; None where not known.
    start_s, compact_s : float
        Seconds until it took samples, and until it had merged them.
    ingest_samples_s : float
        Samples a second that it took in.
    hour_ms, family_hour_ms, everything_ms : float or None
        Milliseconds to query one hour of one series, one hour of all series of the largest metric family, and
        everything: medians, as its client measures them. None where not timed.
    hour_ci, family_hour_ci, everything_ci : tuple of two floats, or None
        The bootstrap 95 % interval of each.
    family_series : int
        How many series that family has.
    memory_mb : float or None
        The most memory that it had, in megabytes (10**6), a library's without what its process had before.
    """

    engine: str
    title: str
    version: str
    series: int
    samples: int
    parts: dict[str, int]
    bytes_on_disk: int
    returned: Returned | None = field(default_factory=Returned)
    queries_agree: bool = True
    fixed_bytes: float | None = None
    further_bytes: float | None = None
    start_s: float = 0.0
    compact_s: float = 0.0
    ingest_samples_s: float = 0.0
    hour_ms: float | None = None
    family_hour_ms: float | None = None
    everything_ms: float | None = None
    hour_ci: tuple[float, float] | None = None
    family_hour_ci: tuple[float, float] | None = None
    everything_ci: tuple[float, float] | None = None
    family_series: int = 0
    memory_mb: float | None = None

    @property
    def exact(self) -> bool:
        """Whether every bit came back, whichever query asked for it."""
        return self.returned is not None and self.returned.exact and self.queries_agree

    @property
    def name(self) -> str:
        """The engine without its settings."""
        return self.engine.partition(":")[0]

    @property
    def bytes_per_sample(self) -> float:
        """Bytes of each further sample, where these are known; else of all samples, fixed ones included."""
        return self.bytes_on_disk / self.samples if self.further_bytes is None else self.further_bytes


@dataclass(frozen=True)
class Entropy:
    """Zeroth-order entropy: the fewest bits a symbol that a code needs which writes equal symbols alike, wherever.

    Attributes
    ----------
    bits : float
        Of the symbols as they are. No such code is shorter on these; the list of symbols is not counted.
    corrected : float
        What it is likely to be for more of the same: with Miller and Madow's correction, for few samples miss symbols.
    symbols : int
        How many distinct ones there are. Where nearly each is there but once, neither figure says much.
    """

    bits: float
    corrected: float
    symbols: int


@dataclass(frozen=True)
class Explanation:
    """What decides how small a series gets; of several series shares and means of all samples.

    Attributes
    ----------
    series, samples : int
        How many were looked at.
    time_unit : str
        What timestamps count.
    interval : int or None
        The most common step from one timestamp to the next.
    interval_share, zero_dod_share : float or None
        Share of the steps that are this one, and of those that equal the one before: their delta of delta is zero.
    distinct : int
        Values that differ in a bit; of several series their median.
    repeat_share : float or None
        Share of the values that equal the one before, bit by bit.
    mean_run : float
        How many equal ones follow each other on average.
    decimals : int or None
        Fewest digits after the point with which 99 % of the values that are finite and not zero are written to within
        4 units in the last place; None if 15 do not do. Of several series, what does for 99 % of the samples.
    exact_share : float or None
        Share of the finite values that are the very doubles nearest to such decimals; None if there are no decimals.
    near_decimals : int or None
        Where there are no decimals: fewest digits that 99 % come within a thousandth of a digit of, as the differences
        of large decimals do.
    step : float or None
        Largest decimal number that 99 % of the values are multiples of; None if there is none. Of several series, the
        least of theirs where the others are multiples of it.
    nans, infinities : int
        Values that are no finite numbers.
    monotone : bool
        Whether values never fall and rise at least once, as a counter's do; of several series, in one of them.
    intervals_entropy, values_entropy, deltas_entropy, xors_entropy : Entropy
        Of the deltas of deltas of timestamps; of the values, their deltas, and the XORs of their bits.
    """

    series: int
    samples: int
    time_unit: str
    interval: int | None
    interval_share: float | None
    zero_dod_share: float | None
    distinct: int
    repeat_share: float | None
    mean_run: float
    decimals: int | None
    exact_share: float | None
    near_decimals: int | None
    step: float | None
    nans: int
    infinities: int
    monotone: bool
    intervals_entropy: Entropy
    values_entropy: Entropy
    deltas_entropy: Entropy
    xors_entropy: Entropy

    @property
    def is_constant(self) -> bool:
        """Whether no series has two values."""
        return self.samples > 0 and self.values_entropy.bits == 0

    @property
    def entropies(self) -> dict[str, Entropy]:
        """Entropies of the values, by what the symbols are."""
        return {"values": self.values_entropy, "deltas": self.deltas_entropy, "XORs": self.xors_entropy}

    @property
    def floor(self) -> float:
        """Bits a value: the least of the entropies of the values."""
        return min(entropy.bits for entropy in self.entropies.values())

    @property
    def floor_is_sure(self) -> bool:
        """Whether a symbol of the lowest entropy occurs twice on average: otherwise it tells the samples, not more."""
        lowest = min(self.entropies.values(), key=lambda entropy: entropy.bits)
        return 2 * lowest.symbols * self.series <= self.samples


@dataclass(frozen=True)
class Winner:
    """The smallest lossless codec of those that ran on all of something, and the next one.

    Attributes
    ----------
    codec, runner_up : str or None
        Their names; None where there is no other.
    bits, runner_up_bits : float or None
        Bits an item, header and checksum included.
    """

    codec: str
    bits: float
    runner_up: str | None = None
    runner_up_bits: float | None = None


@dataclass(frozen=True)
class Explained:
    """Who wins on a metric family, or on one series, and what explains it.

    Attributes
    ----------
    metric : str
        The metric family.
    series : str or None
        Name and labels; None for all of the family.
    samples : int
        How many there are. The explanation may be of fewer.
    facts : Explanation
        What a person can check.
    timestamps, values : Winner or None
        None if no lossless codec ran on all of them.
    """

    metric: str
    series: str | None
    samples: int
    facts: Explanation
    timestamps: Winner | None
    values: Winner | None


@dataclass(frozen=True)
class Segment:
    """What a system chose by itself for segments of a column, where it tells.

    Attributes
    ----------
    table, column : str
        Which column.
    chosen : str
        The encoding.
    count : int
        How many segments have it.
    encoded_bytes : int or None
        What they take; None where the system does not tell.
    best : str
        What makes the column smallest in the same table and order.
    best_bytes : int or None
        What it takes then; what ``encoded_bytes`` has more is the regret.
    """

    table: str
    column: str
    chosen: str
    count: int
    encoded_bytes: int | None = None
    best: str = ""
    best_bytes: int | None = None


@dataclass(frozen=True)
class ProvenSetting:
    """A setting of a system, run as its text says: sized, read back, compared.

    Attributes
    ----------
    role : {"default", "advised", "second", "other"}
        Today's default, what is advised, and what came next.
    description : str
        The setting in few words.
    statement : str
        The text to paste, and what was executed.
    samples, encoded_bytes : int
        What was put in, and what it took on disk.
    parts : dict of str to int
        The same bytes, by what takes them.
    further_bytes : float or None
        Bytes of each further sample: those of the later half of each series by its samples.
    bit_exact : bool
        Whether every bit came back.
    lost : str
        What did not, in words.
    ingest_s, hour_s, whole_s : float or None
        Seconds to write all, to read an hour of one series, and to read all: medians; None where not timed.
    ingest_ci, hour_ci, whole_ci : tuple of two floats, or None
        Their bootstrap 95 % intervals.
    rounds : int
        How many turns a median is of, at least.
    """

    role: str
    description: str
    statement: str
    samples: int
    encoded_bytes: int
    parts: dict[str, int]
    bit_exact: bool
    lost: str = ""
    further_bytes: float | None = None
    ingest_s: float | None = None
    hour_s: float | None = None
    whole_s: float | None = None
    ingest_ci: tuple[float, float] | None = None
    hour_ci: tuple[float, float] | None = None
    whole_ci: tuple[float, float] | None = None
    rounds: int = 0

    @property
    def bytes_per_sample(self) -> float:
        """Bytes on disk by samples."""
        return self.encoded_bytes / self.samples


@dataclass(frozen=True)
class NoisyDigits:
    """A metric family whose last digits say nothing; rounding it loses them.

    Attributes
    ----------
    metric : str
        The family.
    decimals : int
        How many digits after the point to keep.
    reason : str
        Why those beyond are noise.
    largest_error : float
        By how much rounding changes a value at most.
    saved_bytes : int or None
        What the advised text would save on disk, were the family rounded; None where it was not tried.
    """

    metric: str
    decimals: int
    reason: str
    largest_error: float
    saved_bytes: int | None = None


@dataclass(frozen=True)
class Advice:
    """What to set in a system for a data set, and the proof.

    Attributes
    ----------
    system, title, version : str
        Its name as in ``--for``, in full, and what was found.
    objective : {"size", "read", "balanced"}
        What decided.
    settings : list of ProvenSetting
        Today's default, the advised one and the second best first, then others that were proven on all of the data.
    statements : dict of str to str
        Texts to paste by the name of their file, the advised one first.
    regret : float or None
        Bytes of what the system makes by itself over those of the smallest it was made to write, less one.
    segments : list of Segment
        What it chose by itself.
    noise : list of NoisyDigits
        Where rounding would save, at a loss.
    tried : int
        How many settings, or choices for a column, were sized.
    seconds : float
        How long it took.
    notes : list of str
        What else there is to say.
    """

    system: str
    title: str
    version: str
    objective: str
    settings: list[ProvenSetting]
    statements: dict[str, str]
    regret: float | None = None
    segments: list[Segment] = field(default_factory=list)
    noise: list[NoisyDigits] = field(default_factory=list)
    tried: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def get(self, role: str) -> ProvenSetting | None:
        """Return the setting of this role, None where there is none."""
        return next((one for one in self.settings if one.role == role), None)


@dataclass(frozen=True)
class CostBasis:
    """What it takes to turn bytes a sample into money.

    Attributes
    ----------
    samples_per_second : float
        How many samples come in.
    retention_seconds : float
        How long each is kept.
    price_per_gb_month : float or None
        For 10**9 bytes, in any currency; None if not known.
    assumed : tuple of str
        Options that nobody gave: their figures are an example.
    """

    samples_per_second: float
    retention_seconds: float
    price_per_gb_month: float | None = None
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Results:
    """A run, its data set and all measurements: the content of results.json.

    Attributes
    ----------
    run : Run
        When, where and with what.
    dataset : DatasetFacts
        On what.
    measurements : list of Measurement
        Each codec on each column, of each metric family and of all; each format on the data set.
    memcpy_mb_s : dict of str to float
        By subject, how fast its bytes are copied.
    memcpy_ci : dict of str to two floats
        The bootstrap 95 % interval of each.
    access : list of Access
        Reading a little of a file.
    explanations : list of Explained
        Who wins on each metric family and series, and why.
    cost : CostBasis or None
        What a cost is reckoned from, where that was given.
    about : dict of str to str
        What each codec, format and database is, in a sentence.
    engines : list of EngineMeasurement
        Databases, each at each of its settings.
    advice : list of Advice
        What to set in the systems that advice was wanted for.
    shares : list of Measurement
        What each metric name, each block and all of them take in a file, samples and index apart.
    """

    run: Run
    dataset: DatasetFacts
    measurements: list[Measurement] = field(default_factory=list)
    memcpy_mb_s: dict[str, float] = field(default_factory=dict)
    memcpy_ci: dict[str, tuple[float, float]] = field(default_factory=dict)
    access: list[Access] = field(default_factory=list)
    explanations: list[Explained] = field(default_factory=list)
    cost: CostBasis | None = None
    about: dict[str, str] = field(default_factory=dict)
    engines: list[EngineMeasurement] = field(default_factory=list)
    advice: list[Advice] = field(default_factory=list)
    shares: list[Measurement] = field(default_factory=list)

    def find(self, subject: str, metric: str | None = None) -> list[Measurement]:
        """Return the measurements of a subject, of one metric family or of all together, in the order they ran.

        Each is of as much as its codec ran on: some may be of a part.
        """
        return [one for one in self.measurements if (one.subject, one.metric, one.scope) == (subject, metric, ALL)]

    def anywhere(self, subject: str) -> list[Measurement]:
        """Return a measurement of each codec that ran on a subject: of all of it, or else of one metric family."""
        found = {one.codec: one for one in self.find(subject)}
        for one in self.measurements:
            if (one.subject, one.scope) == (subject, ALL):
                found.setdefault(one.codec, one)
        return list(found.values())

    def common(self, subject: str) -> list[Measurement]:
        """Return the measurements of a subject that may be ranked: all of the same samples."""
        ranked = [one for one in self.measurements if (one.subject, one.metric, one.scope) == (subject, None, COMMON)]
        return ranked or self.find(subject)

    def get(self, subject: str, codec: str) -> Measurement | None:
        """Return the measurement of this codec on the whole of a subject, None where there is none."""
        return next((one for one in self.find(subject) if one.codec == codec), None)

    def overall_bytes(self, timestamp_codec: str, value_codec: str) -> int | None:
        """Return the bytes of timestamp frames, value frames and series dictionary, None if one was not measured."""
        timestamps, values = self.get("timestamps", timestamp_codec), self.get("values", value_codec)
        if timestamps is None or values is None:
            return None
        return timestamps.encoded_bytes + values.encoded_bytes + self.dataset.dictionary_bytes

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write results.json, whole or not at all."""
        with replacing(path) as file:
            content = {"schema": SCHEMA} | asdict(self)
            file.write(json.dumps(finite(content), indent=1, allow_nan=False).encode() + b"\n")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Results:
        """Read results.json; fields that a later version added are passed over.

        Raises
        ------
        CorruptDataError
            If it is no results file of this schema.
        """
        try:
            content = json.loads(Path(path).read_bytes())
            if content["schema"] not in range(1, SCHEMA + 1):
                raise CorruptDataError(f"{path} has schema {content['schema']}, this version reads up to {SCHEMA}")
            _restore_infinities(content)
            return msgspec.convert(content, cls)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            if isinstance(error, CorruptDataError):
                raise
            raise CorruptDataError(f"{path} is no results file of squeezelab: run the lab again") from error


def finite(content: Any) -> Any:
    """Return what JSON can hold: numbers that are not finite become null.

    Examples
    --------
    >>> finite({"error": float("inf"), "bits": [1.5]})
    {'error': None, 'bits': [1.5]}
    """
    match content:
        case dict():
            return {name: finite(one) for name, one in content.items()}
        case list() | tuple():
            return [finite(one) for one in content]
        case float() if not isfinite(content):
            return None
    return content


def _restore_infinities(content: dict[str, Any]) -> None:
    """Put infinite errors back where JSON has null, and schema 1 a text."""
    for one in content["measurements"]:
        error = one.get("largest_error")
        if error == "inf" or (one["lossy"] and error is None):
            one["largest_error"] = inf
    for one in content.get("engines", []):
        if one["returned"] and one["returned"]["largest_relative_change"] is None:
            one["returned"]["largest_relative_change"] = inf


def relative_width(speed: float, interval: tuple[float, float]) -> float:
    """Return how wide a speed's interval is: that of the time it was reckoned from, as a share of that time.

    Examples
    --------
    >>> round(relative_width(1000.0, (990.0, 1010.0)), 3)
    0.02
    """
    low, high = interval
    return speed / low - speed / high
