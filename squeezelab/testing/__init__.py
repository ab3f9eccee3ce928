"""What every codec and every format promises, checked: for the lab's own, and for those of other packages.

Neither pytest nor hypothesis is needed: call `check_codec` or `check_format` from a test of your own. Inputs are the
same in every run. The first promise that does not hold raises an AssertionError that says which one, and on which
input.

A codec promises, whatever its package:

- every bit of a column comes back, in its dtype and length: NaN payloads, -0.0, infinities, subnormals, extremes;
  lengths around powers of two; constant, empty and random columns;
- encoding leaves its input alone, and gives the same bytes every time, also for read-only input (ours for strided and
  unaligned input, too);
- arrays come back as they lie in memory, as numcodecs and Zarr's format 2 have it: in Fortran's order, big-endian or
  unaligned where they were so; or the codec rejects them;
- decoding reads any buffer, and fills and returns ``out=``, whatever was in it;
- what encode and decode return is the caller's: no later call changes it, and frames are read in any order;
- damage, in any bit, by cutting or by lengthening, is rejected or makes no difference: it never gives other numbers,
  and ends in an ordinary exception, not in one of memory or recursion;
- it comes back from its configuration, and from pickle: the same settings, the same bytes.

A lossy codec (``lossy`` is true) promises, in place of the first and for floats: the dtype and length come back, and
values within ``codec.tolerance(column)``, an array; if it has no such method, what was decoded once stays as it is when
it is encoded and decoded again.
"""

from squeezelab.testing.codecs import check_codec
from squeezelab.testing.edges import edge_columns, edge_datasets
from squeezelab.testing.formats import check_format

__all__ = ["check_codec", "check_format", "edge_columns", "edge_datasets"]
