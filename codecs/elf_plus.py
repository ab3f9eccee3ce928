"""Elf+: Elf with a bit for as many digits as before, and without bits that are always 1."""

from __future__ import annotations

from typing import Any

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.codecs.elf import ELF_PLUS, decode_elf, encode_elf


class ElfPlus(KernelCodec):
    """Elf+ for float64 columns of decimals.

    As `elf`, but most numbers of a metric have as many significant digits as the one before, and that takes one bit in
    place of five. Its authors recommend it over Elf. Choose it for decimals of few digits; whole numbers and
    full-precision numbers gain nothing and cost two bits each.

    Notes
    -----
    Payload, bits most significant first; each value has two parts, whether it was erased, and the XOR of what is left::

        0                                             erased; as many digits as the last one that was
        10                                            nothing was erased
        11 <digits: 4>                                erased; 0 digits: it was a negative power of ten

        <trailing zeros: 7> <bits above the last 1>   the first value
        01                                            the value before, once more
        00 <meaningful bits>                          the XOR lies within the last window, with as many leading zeros
        10 <leading: 3> <width: 4> <width - 1 bits>   at most 16 meaningful bits, opens a new window
        11 <leading: 3> <width: 6> <width - 1 bits>   more, opens a new window

    The last of the meaningful bits is 1 and left out. All else is as in `elf`, also that more decimals are found than
    by the authors' program: the layout is theirs, bit for bit.

    References
    ----------
    R. Li et al., "Erasing-based Lossless Compression Method for Streaming
    Floating-point Time Series", arXiv:2306.16053, 2023; Spatio-Temporal-Lab/elf, branch dev of March 2024.

    Examples
    --------
    >>> import numpy as np
    >>> codec = ElfPlus()
    >>> codec.decode(codec.encode(np.array([45.3, 45.4, 0.01, -0.0])))
    array([ 4.53e+01,  4.54e+01,  1.00e-02, -0.00e+00])
    """

    name = "elf_plus"
    dtypes = (FLOAT64,)
    max_expansion = 22

    def worst_case_bytes(self, count: int) -> int:
        """At most 6 + 11 + 63 bits a value."""
        return (count * 80 + 7) // 8

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_elf, (ELF_PLUS,)

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_elf, (ELF_PLUS,)
