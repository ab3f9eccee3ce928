"""Sprintz against a slow decoder that reads like its layout, and against the authors' own bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from columns import forge, int64_columns
from squeezelab import CorruptDataError
from squeezelab.codecs import get_codec
from squeezelab.codecs._frame import varint
from squeezelab.codecs.sprintz import PREDICTORS, Sprintz
from squeezelab.errors import InvalidRequestError

WAVE = np.round(40 * np.sin(np.arange(150) / 7))
WAVE[60:110] = 7
CODE_BITS = {8: 3, 16: 4, 32: 5, 64: 6}
AUTHORS = {
    ("int8", "delta"): (
        "07000000060001001cc0ca8a8824816d2477979bbbb97977332403404488a8acccca348a884404c0300c350000200500"
        "0000bd249b7977330340648624aacacaac8a882604282624211e1a"
    ),
    ("int8", "fire"): (
        "07000000060001001cc0ca8a882481252455757999975755112421404488a8acccca348a884404c01004330100200500"
        "00009d24795755112140648624aacacaac8a882604282624211e1a"
    ),
    ("int16", "delta"): (
        "070000000600010034c0ca8a8824816d4477979bbbb97977334403404488a8acccca648a884404c0300c350000400500"
        "0000bd449b7977330340648644aacacaac8a88260428002600240021001e001a00"
    ),
    ("int16", "fire"): (
        "070000000600010034c0ca8a882481254455757999975755114421404488a8acccca648a884404c01004b30000400500"
        "00009d44795755112140648644aacacaac8a88260428002600240021001e001a00"
    ),
}


def wrap(number: int, bits: int) -> int:
    return (number + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


class Fire:
    """The paper's predictor: what share of the last difference to expect again; none of it for plain differences."""

    def __init__(self, bits: int, learns: bool) -> None:
        self.bits, self.learns, self.value, self.delta, self.counter = bits, learns, 0, 0, 0

    def block(self, errors: list[int]) -> list[int]:
        values, gradient, coefficient = [], 0, self.counter >> 1
        for k, error in enumerate(errors):
            if k % 2 and error:
                gradient += self.delta if error > 0 else -self.delta
            expected = self.delta * coefficient >> self.bits if self.learns else 0
            self.delta = wrap(wrap(expected, self.bits) + error, self.bits)
            self.value = wrap(self.value + self.delta, self.bits)
            values.append(self.value)
        self.counter = wrap(self.counter + (wrap(gradient, self.bits) >> 2), 2 * self.bits)
        return values


def slow_decode(payload: bytes, dtype: np.dtype, learns: bool) -> list[int]:
    bits = 8 * dtype.itemsize
    groups, rest = int.from_bytes(payload[:4], "little"), int.from_bytes(payload[4:6], "little")
    assert payload[6:8] == (b"\1\x80" if learns else b"\1\0")
    code, at, values, fire = CODE_BITS[bits], 8, [], Fire(bits, learns)
    for _ in range(groups):
        size = -(-2 * code // 8)
        header = int.from_bytes(payload[at : at + size], "little")
        at += size
        for width in (header % 2**code, header >> code & 2**code - 1):
            width += width == bits - 1
            if width:
                stream = int.from_bytes(payload[at : at + width], "little")
                errors = [stream >> k * width & 2**width - 1 for k in range(8)]
                values += fire.block([error >> 1 ^ -(error & 1) for error in errors])
                at += width
            else:
                run, at = payload[at], at + 1
                if run & 0x80:
                    run, at = run & 0x7F | payload[at] << 7, at + 1
                for _ in range(run):
                    values += fire.block([0] * 8)
    last = np.frombuffer(payload[at:], dtype)
    assert last.size == rest
    return [number % 2**bits for number in values + last.tolist()]


def is_laid_out_as_described(column: np.ndarray, predictor: str = "delta") -> bool:
    codec, bits = Sprintz(predictor), 8 * column.dtype.itemsize
    found = slow_decode(codec.pack(column).tobytes(), column.dtype, predictor == "fire")
    same = np.array_equal(codec.decode(codec.encode(column)), column)
    return same and found == [number % 2**bits for number in column.tolist()]


@given(int64_columns())
def test_every_column_is_laid_out_as_described(column: np.ndarray) -> None:
    assert not column.size or is_laid_out_as_described(column)


@given(st.data())
def test_short_integers_are_with_either_predictor(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(["i1", "u1", "i2", "u2"])))
    near = st.integers(-3, 3).map(lambda number: number % 2 ** (8 * dtype.itemsize))
    steps = data.draw(arrays(f"u{dtype.itemsize}", st.integers(1, 400), elements=near))
    column = np.cumsum(steps, dtype=steps.dtype).view(dtype)
    assert is_laid_out_as_described(column, data.draw(st.sampled_from(["delta", "fire"])))


@pytest.mark.parametrize("predictor", ["delta", "fire"])
@pytest.mark.parametrize("length", [127, 128, 136, 143, 144, 145, 1000])
def test_runs_are_wherever_they_end(predictor: str, length: int) -> None:
    rng = np.random.default_rng(length)
    for _ in range(20):
        lengths = rng.integers(1, 90, length)
        column = np.repeat(rng.integers(0, 99, length), lengths)[:length].astype(np.int16)
        assert is_laid_out_as_described(column, predictor)


def test_runs_longer_than_their_count_are() -> None:
    for length in (8 * 0x7FFF, 8 * 0x7FFF + 8, 16 * 0x7FFF + 24):
        column = np.zeros(length, np.int64)
        assert len(Sprintz().pack(column)) <= 8 + 10 + 8 * 16
        assert np.array_equal(Sprintz().decode(Sprintz().encode(column)), column)


@pytest.mark.parametrize(("dtype", "predictor"), AUTHORS)
def test_the_authors_program_writes_these_bytes(dtype: str, predictor: str) -> None:
    payload = Sprintz(predictor).pack(WAVE.astype(dtype)).copy()
    payload[7] &= 0x7F  # the bit of FIRE is ours
    assert payload.tobytes().hex() == AUTHORS[dtype, predictor]


@pytest.mark.parametrize("reader", PREDICTORS)
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_a_frame_says_which_predictor_it_is_of(dtype: str, reader: str) -> None:
    column = WAVE.astype(dtype)
    for after in ("", "+zstd"):
        for writer in PREDICTORS:
            frame = get_codec(f"sprintz:predictor={writer}{after}").encode(column)
            assert np.array_equal(get_codec(f"sprintz:predictor={reader}{after}").decode(frame), column)


@pytest.mark.parametrize("reader", PREDICTORS)
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_frames_of_fire_that_do_not_say_it_are_still_read(dtype: str, reader: str) -> None:
    column, payload = WAVE.astype(dtype), bytes.fromhex(AUTHORS[dtype, "fire"])
    codec = get_codec(f"sprintz:predictor={reader}")
    assert np.array_equal(codec.decode(forge("sprintz_fire", column.dtype, payload, 150)), column)
    squeezed = varint(len(payload)) + get_codec("zstd").squeeze(payload)
    chained = forge("sprintz_fire+zstd", column.dtype, squeezed, 150)
    assert np.array_equal(get_codec(f"sprintz:predictor={reader}+zstd").decode(chained), column)
    with pytest.raises(CorruptDataError, match="checksum differs"):
        codec.decode(forge("sprintz_ice", column.dtype, payload, 150))


def test_fire_takes_short_integers_alone() -> None:
    with pytest.raises(TypeError, match="takes int16"):
        get_codec("sprintz:predictor=fire").encode(np.arange(3))
    with pytest.raises(InvalidRequestError, match="choose from delta, fire"):
        get_codec("sprintz:predictor=arima")


def head(groups: int, rest: int, variables: int = 1) -> bytes:
    return groups.to_bytes(4, "little") + rest.to_bytes(2, "little") + variables.to_bytes(2, "little")


@pytest.mark.parametrize(
    "payload",
    [
        head(0, 128)[:7],
        head(0, 128, 2) + bytes(1024),  # two variables
        head(0, 128, 0x8001) + bytes(1024),  # FIRE, of long integers
        head(0, 127) + bytes(1016),  # another number of values
        head(0, 128) + bytes(1023),  # cut short
        head(0, 128) + bytes(1025),  # a byte too many
        head(1, 120),  # no group
        head(1, 112) + b"\0\0\1",  # a block missing
        head(1, 0) + b"\0\0\x80",  # half a count
        head(2**32 - 1, 0) + bytes(2000),  # groups without end
        head(1, 112) + b"\0\0\x11\0" + bytes(896),  # a run beyond the last value
        head(1, 112) + b"\x41\0" + b"\0" + bytes(4),  # errors cut short
    ],
)
def test_damage_is_rejected(payload: bytes) -> None:
    with pytest.raises(CorruptDataError, match=r"promises|claims"):
        Sprintz().decode(forge("sprintz", np.dtype(np.int64), payload, 128))
