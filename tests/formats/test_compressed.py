"""zstd around a file: ``zstd`` itself reads it, and none that expands without bound is taken."""

import numpy as np
import pytest
import zstandard

from squeezelab import CorruptDataError, MetricDataset, SeriesKey
from squeezelab.formats import compressed, get_format


def zeros(count: int) -> MetricDataset:
    return MetricDataset([SeriesKey("up", {})], np.array([0, count]), np.zeros(count, np.int64), np.zeros(count))


def test_any_zstd_expands_it(small: MetricDataset) -> None:
    file = get_format("table+zstd").encode(small)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(file) == get_format("table").encode(small)


def test_a_file_that_expands_without_bound_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "SPARED_BYTES", 10**6)
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(10**8))
    assert len(bomb) < 5000
    with pytest.raises(CorruptDataError, match="expands to more than"):
        get_format("columnar+zstd").decode(bomb)


def test_what_expands_that_much_by_nature_is_padded_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = zeros(10**6)
    plain = get_format("columnar+zstd").encode(dataset)
    monkeypatch.setattr(compressed, "SPARED_BYTES", 10**6)
    file = get_format("columnar+zstd").encode(dataset)
    assert len(plain) < 3000 < 15_000 < len(file)
    assert get_format("columnar+zstd").decode(file).fingerprint == dataset.fingerprint
    reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    assert reader.read(2 * 10**7) == get_format("columnar").encode(dataset)
    for damaged in (file[:-1], file + b"\0", file[:-1] + b"\1", file[:-100] + file[-99:]):
        with pytest.raises(CorruptDataError, match="something follows it"):
            get_format("columnar+zstd").decode(damaged)


def test_two_files_are_not_one() -> None:
    file = get_format("columnar+zstd").encode(zeros(3))
    for after in (file, b"\0", compressed._padding(1)[:-1], b"P*M\x18\0\0\0\0"):
        with pytest.raises(CorruptDataError, match="something follows it"):
            get_format("columnar+zstd").decode(file + after)


def test_a_file_keeps_what_its_inside_promises() -> None:
    for name in ("ndjson", "cbor", "table", "pattern", "downsampled"):
        plain, squeezed = get_format(name), get_format(f"{name}+zstd")
        for attribute in ("holds_empty_series", "lossy"):
            assert getattr(plain, attribute) == getattr(squeezed, attribute)
        assert squeezed.checked
