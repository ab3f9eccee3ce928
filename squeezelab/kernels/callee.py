"""Kernels as arguments of kernels: what calls them is compiled once, whichever it is given."""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import types


class Callee(types.WrapperAddressProtocol):  # type: ignore[misc]
    """A kernel, compiled for a signature, as other kernels take it.

    Parameters
    ----------
    kernel : callable
        As `squeezelab.kernels.kernel` makes it.
    signature : numba signature
        What it takes and returns.

    Notes
    -----
    A kernel that is passed as it is becomes a type of its own, and what calls it is compiled anew for each.

    Examples
    --------
    >>> from squeezelab.kernels import kernel
    >>> @kernel
    ... def double(number):
    ...     return number + number
    >>> @kernel
    ... def twice(function, number):
    ...     return function(function(number))
    >>> twice(Callee(double, types.int64(types.int64)), 5)
    20
    """

    def __init__(self, kernel: Any, signature: Any) -> None:
        self._compiled = kernel.get_compile_result(signature)  # its code lives as long as it is held
        wrapper = self._compiled.fndesc.llvm_cfunc_wrapper_name
        self._signature, self._address = signature, self._compiled.library.get_pointer_to_function(wrapper)
        self._numba_type_ = types.FunctionType(signature)

    def signature(self) -> Any:
        """Return what numba asks for: what it takes and returns."""
        return self._signature

    def __wrapper_address__(self) -> int:
        """Return what numba asks for: where its code is."""
        address: int = self._address
        return address


@cache
def callee(kernel: Any, signature: Any) -> Callee:
    """Return a kernel as others take it, the same one each time."""
    return Callee(kernel, signature)
