"""Compiling kernels, keeping what was compiled, and the bit operations that numba lacks."""

from squeezelab.kernels.cache import kernel, kernel_folder

__all__ = ["kernel", "kernel_folder"]
