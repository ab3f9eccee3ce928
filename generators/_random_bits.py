"""Random numbers by position: the n-th number of a stream follows from its key alone, on every machine.

SplitMix64 (G. Steele, D. Lea, C. Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014): a Weyl sequence
``key + n * golden`` through a mixing function. All of it is arithmetic on 64-bit integers, and the bell curve is a sum
of them: no function is used whose last bit depends on processor or library.
"""

from __future__ import annotations

import numpy as np

from squeezelab.kernels import kernel

U = np.uint64

GOLDEN = U(0x9E3779B97F4A7C15)
# Standard deviation of the sum of four independent numbers spread evenly over 0 ... 65535: 65536 / sqrt(3), nearly.
BELL_WIDTH = 37837.2


@kernel(forceinline=True)
def mix(word):
    """Scramble a word: SplitMix64's finalizer, variant 13 of D. Stafford."""
    word = (word ^ (word >> U(30))) * U(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> U(27))) * U(0x94D049BB133111EB)
    return word ^ (word >> U(31))


@kernel(forceinline=True)
def stream_key(seed, purpose, number):
    """Return the key of a stream of its own for each seed, purpose and number."""
    return mix(mix(mix(seed + GOLDEN) + purpose * GOLDEN) + number * GOLDEN)


@kernel(forceinline=True)
def bits(key, n):
    """Return 64 random bits, the n-th of a stream."""
    return mix(key + n * GOLDEN)


@kernel(forceinline=True)
def uniform(key, n):
    """Return a multiple of 2**-53 from [0, 1), the n-th of a stream."""
    return np.float64(bits(key, n) >> U(11)) * 2.0**-53


@kernel(forceinline=True)
def bell(key, n):
    """Return a number of mean 0 and deviation 1, the n-th of a stream: Irwin-Hall of four, at most 3.5 from 0."""
    word = bits(key, n)
    low = U(0xFFFF)
    total = (word & low) + ((word >> U(16)) & low) + ((word >> U(32)) & low) + (word >> U(48))
    return (np.float64(total) - 131070.0) * (1.0 / BELL_WIDTH)
