"""What every codec promises: the conformance suite, and what goes beyond it because frames of ours can be forged."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import COLUMNS, came_back, forge
from squeezelab import CorruptDataError
from squeezelab.codecs import available_codecs, codec_spec, get_codec, showcase_codecs
from squeezelab.codecs._frame import FLOAT64, INT64, pack_frame
from squeezelab.testing import check_codec

SPECS = [
    *dict.fromkeys([*available_codecs(), *showcase_codecs()]),
    "delta_of_delta:widths=1-2-3-64",
    "delta_of_delta+zstd:level=19",
    "xor+zstd",
    "xor+zlib",
    "xor+lz4+zstd",
    "victoria+zstd",
]
CASES = [(spec, dtype) for spec in SPECS for dtype in (INT64, FLOAT64) if dtype in get_codec(spec).dtypes]
OTHERS = [(spec, dtype) for spec in available_codecs() for dtype in get_codec(spec).dtypes if dtype.itemsize < 8]
every_case = pytest.mark.parametrize(("spec", "dtype"), CASES, ids=lambda one: str(one))


def a_column(dtype: np.dtype, count: int = 200) -> np.ndarray:
    rng = np.random.default_rng(7)
    steps = 15 + (rng.random(count) < 0.1)
    return np.cumsum(steps) if dtype == INT64 else np.round(np.cumsum(rng.normal(size=count)), 1)


@pytest.mark.parametrize("spec", SPECS)
def test_it_conforms(spec: str) -> None:
    check_codec(get_codec(spec), dtypes=[dtype for dtype in (INT64, FLOAT64) if dtype in get_codec(spec).dtypes])


@pytest.mark.parametrize(("spec", "dtype"), OTHERS, ids=lambda one: str(one))
def test_it_conforms_on_shorter_numbers(spec: str, dtype: np.dtype) -> None:
    check_codec(get_codec("brotli:quality=4" if spec == "brotli" else spec), dtypes=[dtype])


def test_most_codecs_take_all_numbers() -> None:
    every = {"raw", "zstd", "zlib", "lz4", "brotli", "blosc2", "pcodec", "tally"}
    assert {spec for spec, _ in OTHERS} >= {*every, "parquet"}
    for spec in every:
        assert {str(one) for one in get_codec(spec).dtypes} >= {
            *(f"{sign}int{n}" for sign in ("", "u") for n in (8, 16, 32, 64)),
            *("float32", "float64"),
        }


@every_case
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("ends", ["<", ">"])
def test_arrays_come_back_as_they_lie_in_memory(spec: str, dtype: np.dtype, order: str, ends: str) -> None:
    array = a_column(dtype).reshape(20, 10).astype(dtype.newbyteorder(ends), order=order)
    codec, out = get_codec(spec), np.zeros_like(array)
    decoded = codec.decode(codec.encode(array))
    codec.decode(codec.encode(array), out=out)
    assert decoded.dtype == array.dtype
    if not codec.lossy:
        assert decoded.tobytes() == array.tobytes("A") == out.tobytes("A")


@every_case
def test_big_endian_columns_differ_by_their_tag_alone(spec: str, dtype: np.dtype) -> None:
    column = a_column(dtype)
    frame, big = get_codec(spec).encode(column), get_codec(spec).encode(column.astype(dtype.newbyteorder(">")))
    assert (frame[0] + 0x10, frame[1:-8]) == (big[0], big[1:-8])


@pytest.mark.parametrize("spec", [spec for spec in SPECS if INT64 in get_codec(spec).dtypes])
def test_moments_are_taken_for_their_integers(spec: str) -> None:
    column = a_column(INT64)
    for kind in ("M8[s]", ">M8[ns]", "m8[us]"):
        decoded = get_codec(spec).decode(get_codec(spec).encode(column.astype(kind)))
        assert decoded.dtype == np.dtype(kind).str[0] + "i8"
        assert np.array_equal(decoded, column)


@pytest.mark.parametrize("spec", ["raw", "zstd", "xor+zstd"])
def test_out_of_another_byte_order_is_rejected(spec: str) -> None:
    column = a_column(FLOAT64)
    with pytest.raises(ValueError, match="out is >f8, the column is float64"):
        get_codec(spec).decode(get_codec(spec).encode(column), out=column.astype(">f8"))


@pytest.mark.parametrize("spec", ["raw", "zstd", "zlib", "lz4", "brotli", "blosc2", "pcodec", "tally"])
def test_bytes_are_a_column(spec: str) -> None:
    for data in (b"", b"some bytes", bytearray(b"others"), memoryview(b"more")):
        assert bytes(get_codec(spec).decode(get_codec(spec).encode(data))) == bytes(data)


@every_case
@given(data=st.data())
def test_every_bit_comes_back(spec: str, dtype: np.dtype, data: st.DataObject) -> None:
    column = data.draw(COLUMNS[dtype])
    assert came_back(get_codec(spec), get_codec(spec).decode(get_codec(spec).encode(column)), column)


@pytest.mark.parametrize("spec", [*SPECS, "sprintz:predictor=fire", "tally:level=1+zlib"])
def test_a_frame_needs_no_settings_to_be_read(spec: str) -> None:
    plain = get_codec("+".join(one.partition(":")[0] for one in spec.split("+")))
    for dtype in get_codec(spec).dtypes:
        column = a_column(dtype) if dtype in (INT64, FLOAT64) else np.arange(200).astype(dtype)
        frame = get_codec(spec).encode(column)
        assert np.array_equal(plain.decode(frame), get_codec(spec).decode(frame))


@every_case
def test_only_lossy_codecs_tolerate_errors_and_only_of_values(spec: str, dtype: np.dtype) -> None:
    codec, column = get_codec(spec), a_column(dtype)
    assert codec.tolerance(column).shape == column.shape
    assert np.any(codec.tolerance(column) != 0) == (codec.lossy and dtype == FLOAT64)


@every_case
def test_frames_are_bytes(spec: str, dtype: np.dtype) -> None:
    assert type(get_codec(spec).encode(a_column(dtype))) is bytes


@every_case
def test_a_list_is_a_column(spec: str, dtype: np.dtype) -> None:
    column = a_column(dtype)
    assert get_codec(spec).encode(column.tolist()) == get_codec(spec).encode(column)


@every_case
def test_decoded_columns_are_the_callers_own(spec: str, dtype: np.dtype) -> None:
    column = a_column(dtype)
    decoded = get_codec(spec).decode(get_codec(spec).encode(column))
    decoded[0] = 1
    assert decoded.flags.owndata


@every_case
def test_out_may_be_bytes(spec: str, dtype: np.dtype) -> None:
    codec = get_codec(spec)
    column = a_column(dtype)
    frame = codec.encode(column)
    for out in (np.zeros(column.nbytes, np.uint8), bytearray(column.nbytes)):
        assert codec.decode(frame, out=out) is out
        assert bytes(out) == codec.decode(frame).tobytes()


@every_case
def test_out_that_does_not_fit_is_rejected(spec: str, dtype: np.dtype) -> None:
    codec = get_codec(spec)
    column = a_column(dtype)
    frame = codec.encode(column)
    read_only = np.zeros_like(column)
    read_only.flags.writeable = False
    other = np.zeros(column.size, FLOAT64 if dtype == INT64 else INT64)
    for out in (read_only, np.zeros(column.size - 1, dtype), np.zeros((column.size, 2), dtype)[:, 0], other):
        with pytest.raises(ValueError, match="out"):
            codec.decode(frame, out=out)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype", ["int32", "float32", "uint64", "U8", "S8", "O", "bool", "complex128"])
def test_other_dtypes_are_rejected_with_advice(spec: str, dtype: str) -> None:
    if np.dtype(dtype) in get_codec(spec).dtypes:
        pytest.skip(f"{spec} takes {dtype}")
    with pytest.raises(TypeError, match="astype"):
        get_codec(spec).encode(np.zeros(3, dtype))


@every_case
@given(noise=st.binary(max_size=200))
def test_random_bytes_are_no_frame(spec: str, dtype: np.dtype, noise: bytes) -> None:
    with pytest.raises(CorruptDataError):
        get_codec(spec).decode(noise)


@pytest.mark.bounds
@every_case
@given(payload=st.binary(max_size=120), count=st.integers(0, 2000) | st.sampled_from([2**32, 2**60, 2**64 - 1]))
def test_payloads_that_check_out_but_make_no_sense_never_crash(
    spec: str, dtype: np.dtype, payload: bytes, count: int
) -> None:
    codec = get_codec(spec)
    frame = forge(codec.frame_name, dtype, payload, count)
    with contextlib.suppress(CorruptDataError):
        assert codec.decode(frame).size == count


@pytest.mark.bounds
@every_case
@given(data=st.data())
def test_damage_behind_a_good_checksum_never_crashes(spec: str, dtype: np.dtype, data: st.DataObject) -> None:
    codec = get_codec(spec)
    column = a_column(dtype, 50)
    payload = bytearray(codec.pack(column).tobytes() if hasattr(codec.pack(column), "tobytes") else codec.pack(column))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] ^= data.draw(st.integers(1, 255))
    count = column.size + data.draw(st.sampled_from([0, 0, -1, 1, 10]))
    with contextlib.suppress(CorruptDataError):
        assert codec.decode(forge(codec.frame_name, dtype, bytes(payload), count)).size == count


@every_case
def test_a_header_cannot_claim_more_than_its_bytes_hold(spec: str, dtype: np.dtype) -> None:
    codec = get_codec(spec)
    with pytest.raises(CorruptDataError, match="claims"):
        codec.decode(forge(codec.frame_name, dtype, b"\0" * 20, 2**60))


def test_forged_frames_are_like_real_ones() -> None:
    column = np.arange(3)
    assert forge("raw", INT64, column.tobytes(), 3) == pack_frame("raw", column.dtype, 3, column.tobytes())


@every_case
def test_a_frame_of_another_codec_is_rejected(spec: str, dtype: np.dtype) -> None:
    other = "zlib" if spec == "raw" else "raw"
    with pytest.raises(CorruptDataError, match="checksum"):
        get_codec(spec).decode(get_codec(other).encode(a_column(dtype)))


@every_case
def test_frames_do_not_depend_on_parameters_to_be_read(spec: str, dtype: np.dtype) -> None:
    column = a_column(dtype)
    plain = "+".join(stage.partition(":")[0] for stage in spec.split("+"))
    assert came_back(get_codec(spec), get_codec(plain).decode(get_codec(spec).encode(column)), column)


@pytest.mark.parametrize("spec", SPECS)
def test_threads_may_share_it(spec: str) -> None:
    codec = get_codec(spec)
    columns = [
        a_column(dtype, count) for dtype in (INT64, FLOAT64) if dtype in codec.dtypes for count in (150, 700, 1300)
    ]
    frames = [codec.encode(column) for column in columns]

    def work(turn: int) -> bool:
        places = [(turn + i) % len(columns) for i in range(8)]
        return all(
            codec.encode(columns[i]) == frames[i] and came_back(codec, codec.decode(frames[i]), columns[i])
            for i in places
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


@pytest.mark.parametrize("spec", SPECS)
def test_numcodecs_keeps_and_restores_it(spec: str) -> None:
    codec = get_codec(spec)
    restored = numcodecs.get_codec(codec.get_config())
    assert restored.get_config() == codec.get_config()
    assert codec_spec(restored) == codec_spec(codec)
    assert codec_spec(get_codec(codec_spec(codec))) == codec_spec(codec)
