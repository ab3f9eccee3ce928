"""The hash that kernels check frames with is the library's, at every length where it takes another way."""

import numpy as np
import pytest
import xxhash

from squeezelab.kernels.bits import U
from squeezelab.kernels.xxh3 import ROOM, hash_bytes

LENGTHS = [*range(260), *(1024 + i for i in range(-1, 66)), 2047, 2048, 2049, 2113, 5000]


@pytest.mark.parametrize("seed", [0, 1, 2**63 + 5])
def test_the_hash_is_the_library_s(seed: int) -> None:
    text = np.random.default_rng(0).integers(0, 256, 5008, np.uint8)
    room = np.empty(ROOM, np.uint64)
    found = [int(hash_bytes(text, U(3), U(size), U(seed), room)) for size in LENGTHS]
    assert found == [xxhash.xxh3_64_intdigest(text[3 : 3 + size].tobytes(), seed=seed) for size in LENGTHS]
