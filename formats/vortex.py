"""Vortex files, through Vortex's own package."""

from __future__ import annotations

import io

import pyarrow as pa

from squeezelab.formats._table import TableFormat, workplace
from squeezelab.registry import check_choice, non_default_settings

LAYOUTS = ("default", "compact")


class Vortex(TableFormat):
    """A Vortex file of all samples.

    Parameters
    ----------
    layout : {"default", "compact"}
        Light encodings that are fast to read, or small: pcodec and zstd too.
    """

    name = "vortex"
    package = "vortex-data"
    showcase = ("", "layout=compact")

    def __init__(self, layout: str = "default") -> None:
        check_choice("vortex", "layout", layout, LAYOUTS)
        self.layout = layout
        self.name += non_default_settings(type(self), vars(self))

    def store(self, table: pa.Table) -> bytes:
        """Write the file."""
        import vortex

        with workplace() as folder:
            path = folder / "samples.vortex"
            getattr(vortex.io.VortexWriteOptions, self.layout)().write(table, str(path))
            return path.read_bytes()

    def load(self, data: bytes) -> pa.Table:
        """Scan the file."""
        import vortex

        return vortex.open_readable(io.BytesIO(data)).scan().read_all().to_arrow_table()
