"""Files of columns: the series dictionary, then a frame of timestamps and one of values for each series."""

from __future__ import annotations

from collections.abc import Iterator

from squeezelab.codecs import get_codec
from squeezelab.codecs._frame import INT64, Bytes
from squeezelab.dataset import DOUBLE, VALUE_DTYPES, MetricDataset, SeriesKey
from squeezelab.formats._dictionary_file import DictionaryFile, decode_columns, encode_columns
from squeezelab.formats.base import Buffer


class Columnar(DictionaryFile):
    """Arrays as they lie in memory, beside a dictionary of the series: the plain columnar baseline.

    Notes
    -----
    After head and dictionary (`squeezelab.formats._dictionary_file`) come for each series the frame of its timestamps,
    then that of its values, which tells their type (`squeezelab.codecs._frame`).

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data()
    >>> file = Columnar().encode(dataset)
    >>> Columnar().decode(file).fingerprint == dataset.fingerprint
    True
    """

    name = "columnar"
    kind = "general"
    dtypes = VALUE_DTYPES
    timestamp_codec: str = "raw"
    value_codec: str = "raw"

    def body(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Return the two frames of each series."""
        timestamp_codec, value_codec = get_codec(self.timestamp_codec), get_codec(self.value_codec)
        return encode_columns(((times, values) for _, times, values in dataset), (timestamp_codec, value_codec))

    def parse(self, keys: list[SeriesKey], body: Bytes) -> MetricDataset:
        """Read the frames into the arrays of a new data set."""
        codecs = [(get_codec(self.timestamp_codec), (INT64,)), (get_codec(self.value_codec), self.dtypes)]
        offsets, (timestamps, values) = decode_columns(body, len(keys), codecs)
        return MetricDataset(keys, offsets, timestamps.values, values.values, dtypes=values.dtypes)


class DeltaOfDeltaXor(Columnar):
    """The lab's own file: timestamps as delta of delta, values as XOR, both after Gorilla.

    Laid out as `Columnar`, with frames of these codecs in place of raw ones.
    """

    name = "delta_of_delta+xor"
    kind = "papers"
    dtypes = (DOUBLE,)
    timestamp_codec = "delta_of_delta"
    value_codec = "xor"


class PatternAware(Columnar):
    """Each column encoded for what it is found to be: constant, regular, whole, quantized, periodic.

    Laid out as `Columnar`, with frames of `squeezelab.codecs.pattern`.
    """

    name = "pattern"
    kind = "ours"
    dtypes = (DOUBLE, INT64)
    timestamp_codec = "pattern"
    value_codec = "pattern"
