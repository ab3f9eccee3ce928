"""Codecs of other packages: the payload is what their own package reads."""

import io
from concurrent.futures import ThreadPoolExecutor

import blosc2
import brotli
import numcodecs.lz4
import numpy as np
import pyarrow.parquet as pq
import pytest
from pcodec import standalone

from columns import forge, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs import available_codecs, get_codec, showcase_codecs
from squeezelab.codecs._frame import FLOAT64, INT64
from squeezelab.codecs.base import reading

VALUES = np.round(50 + np.cumsum(np.random.default_rng(1).normal(size=1000)), 1)
TIMES = 1_700_000_000 + 15 * np.arange(1000) + (np.random.default_rng(2).random(1000) < 0.02)


def payload(spec: str, column: np.ndarray) -> bytes:
    return bytes(get_codec(spec).pack(column))


def needs(spec: str) -> str:
    if spec.partition(":")[0] not in available_codecs():
        pytest.skip(f"{spec} is not installed: pip install 'squeezelab[peers]'")
    return spec


@pytest.mark.parametrize("column", [VALUES, TIMES], ids=["values", "timestamps"])
def test_payloads_are_what_their_packages_read(column: np.ndarray) -> None:
    assert same_bits(standalone.simple_decompress(payload("pcodec", column)), column)
    assert brotli.decompress(payload("brotli", column)) == column.tobytes()
    assert bytes(blosc2.decompress2(payload("blosc2", column))) == column.tobytes()
    assert same_bits(pq.read_table(io.BytesIO(payload("parquet", column))).column(0).to_numpy(), column)


@pytest.mark.parametrize("column", [VALUES, TIMES], ids=["values", "timestamps"])
def test_lz4_hc_is_smaller_and_read_by_the_same_decoder(column: np.ndarray) -> None:
    assert len(payload("lz4:hc=12", column)) < len(payload("lz4", column))
    assert numcodecs.lz4.decompress(payload("lz4:hc=12", column)) == column.tobytes()


def test_settings_reach_their_packages() -> None:
    assert len(payload("pcodec:level=12", VALUES)) < len(payload("pcodec:level=0", VALUES))
    assert payload("brotli:quality=4", VALUES) == brotli.compress(VALUES.tobytes(), quality=4)
    bits = blosc2.compress(VALUES, 8, 9, blosc2.Filter.BITSHUFFLE, blosc2.Codec.LZ4)
    assert payload("blosc2:shuffle=bitshuffle,codec=lz4,level=9", VALUES) == bits


@pytest.mark.parametrize(
    ("encoding", "column", "found"),
    [
        ("dictionary", VALUES, "RLE_DICTIONARY"),
        ("plain", VALUES, "PLAIN"),
        ("byte_stream_split", VALUES, "BYTE_STREAM_SPLIT"),
        ("byte_stream_split", TIMES, "BYTE_STREAM_SPLIT"),
        ("delta", TIMES, "DELTA_BINARY_PACKED"),
    ],
)
@pytest.mark.parametrize("compression", ["zstd", "brotli", "gzip", "snappy", "lz4", "none"])
def test_parquet_has_the_encoding_that_was_asked_for(
    encoding: str, column: np.ndarray, found: str, compression: str
) -> None:
    codec = get_codec(f"parquet:encoding={encoding},compression={compression}")
    written = pq.ParquetFile(io.BytesIO(codec.pack(column))).metadata.row_group(0).column(0)
    assert found in written.encodings
    assert written.compression == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())
    assert same_bits(codec.decode(codec.encode(column)), column)


def test_parquets_deltas_are_of_integers() -> None:
    assert get_codec("parquet:encoding=delta").dtypes == (INT64,)
    with pytest.raises(TypeError, match="takes int64"):
        get_codec("parquet:encoding=delta").encode(VALUES)


def test_parquets_scaled_deltas_are_of_decimals_that_all_come_back() -> None:
    codec = get_codec("parquet:encoding=scaled_delta")
    decimals = np.round(20 + np.cumsum(np.random.default_rng(0).normal(size=5000)), 2) + 0.0  # no -0.0
    assert len(codec.encode(decimals)) < 0.7 * len(get_codec("parquet:encoding=plain").encode(decimals))
    for column, name in (
        (decimals, "2"),
        (decimals // 1, "0"),
        (np.append(decimals, np.pi), ""),
        (np.append(decimals, -0.0), ""),
        (decimals.astype(np.float32), "2"),
        (np.append(decimals, 1e30).astype(np.float32), ""),
    ):
        (found,) = pq.read_table(io.BytesIO(bytes(codec.pack(column)))).column_names
        assert found == name
        assert same_bits(codec.decode(codec.encode(column)), column)


def test_a_parquet_column_of_another_type_or_with_gaps_is_damage() -> None:
    import pyarrow as pa

    codec = get_codec("parquet")
    for array in (pa.array([1, 2, 3], pa.int32()), pa.array([1.5, 2.5, 3.5]), pa.array([1, None, 3], pa.int64())):
        file = io.BytesIO()
        pq.write_table(pa.table({"": array}), file)
        with pytest.raises(CorruptDataError):
            codec.decode(forge("parquet", INT64, file.getvalue(), 3))


def test_blosc2_reads_no_chunk_of_another_size() -> None:
    chunk = payload("blosc2", VALUES)
    assert same_bits(get_codec("blosc2").decode(forge("blosc2", FLOAT64, chunk, 1000)), VALUES)
    for data, count in ((chunk, 999), (chunk + b"\0", 1000), (chunk[:-1], 1000), (chunk[:10], 1000), (b"", 1)):
        with pytest.raises(CorruptDataError):
            get_codec("blosc2").decode(forge("blosc2", FLOAT64, data, count))


@pytest.mark.parametrize("at", [34, 35, 50])
def test_blosc2_reads_no_block_beyond_its_chunk(at: int) -> None:
    chunk = bytearray(payload("blosc2", VALUES))
    chunk[at] ^= 0x0B
    with pytest.raises(CorruptDataError):
        get_codec("blosc2").decode(forge("blosc2", FLOAT64, bytes(chunk), 1000))


@pytest.mark.parametrize("column", [VALUES, TIMES], ids=["values", "timestamps"])
def test_openzls_best_is_about_the_smallest_of_its_graphs(column: np.ndarray) -> None:
    needs("openzl")
    sizes = {graph: len(payload(f"openzl:graph={graph}", column)) for graph in ("generic", "field_lz", "delta", "best")}
    assert sizes["best"] <= min(sizes.values()) + 20


def test_vortex_counts_its_buffers() -> None:
    data = payload(needs("vortex"), VALUES)
    for wrong in (data[1:], b"\x7f" + data[1:], b"\xff" * 9 + data, data + b"\0", data[:-1]):
        with pytest.raises(CorruptDataError):
            get_codec("vortex").decode(forge("vortex", FLOAT64, wrong, 1000))


@pytest.mark.parametrize("spec", showcase_codecs())
def test_threads_do_not_disturb_each_other(spec: str) -> None:
    codec = get_codec(spec)
    whole = VALUES if FLOAT64 in codec.dtypes else TIMES
    columns = [whole[:count] for count in (10, 100, 500, 1000)] * 3
    alone = [codec.encode(column) for column in columns]
    back = [codec.decode(frame) for frame in alone]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(codec.encode, columns)) == alone
        decoded = list(pool.map(codec.decode, alone))
    assert all(same_bits(a, b) for a, b in zip(decoded, back, strict=True))


def test_whatever_a_library_raises_is_damage() -> None:
    class PanicException(BaseException):
        """What a panic in Rust becomes."""

    for error in (ValueError("line\nline"), RuntimeError(), PanicException("index out of bounds")):
        with pytest.raises(CorruptDataError, match="the library cannot read") as caught, reading("the library"):
            raise error
        assert "\n" not in str(caught.value)
    with pytest.raises(KeyboardInterrupt), reading("the library"):
        raise KeyboardInterrupt
