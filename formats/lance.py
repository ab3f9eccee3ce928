"""Lance data sets, through Lance's own package."""

from __future__ import annotations

import pyarrow as pa

from squeezelab.formats._folder import pack_folder, unpack_folder
from squeezelab.formats._table import SCHEMA, TableFormat
from squeezelab.registry import check_choice, check_range, non_default_settings
from squeezelab.store.workplace import MEMORY, workplace

COMPRESSIONS = ("auto", "zstd", "lz4", "none")
SHUFFLES = ("auto", "on", "off")


class Lance(TableFormat):
    """A Lance data set of one table, in one version.

    Parameters
    ----------
    compression : {"auto", "zstd", "lz4", "none"}
        ``auto`` chooses by itself, mostly bit packing; the others come after that.
    level : int
        Of zstd, 1 to 22; 0 is its own default.
    bss : {"auto", "on", "off"}
        Whether the bytes of values of equal weight are brought together (byte stream split).

    Notes
    -----
    All files of the data set's folder count, its manifest and transaction included, one after another as
    `squeezelab.formats._folder` puts them. Source: https://lance.org/format/file
    """

    name = "lance"
    package = "pylance"
    showcase = ("", "compression=zstd", "compression=zstd,level=22")
    repeatable = False  # its files have names drawn by lot

    def __init__(self, compression: str = "auto", level: int = 0, bss: str = "auto") -> None:
        check_choice("lance", "compression", compression, COMPRESSIONS)
        check_range("lance", "level", level, 0, 22)
        check_choice("lance", "bss", bss, SHUFFLES)
        self.compression = compression
        self.level = level
        self.bss = bss
        self.costly = level >= 10
        self.name += non_default_settings(type(self), vars(self))

    def store(self, table: pa.Table) -> bytes:
        """Write the data set."""
        import lance

        metadata = {"lance-encoding:compression": self.compression} if self.compression != "auto" else {}
        if self.level:
            metadata["lance-encoding:compression-level"] = str(self.level)
        shuffled = metadata | ({"lance-encoding:bss": self.bss} if self.bss != "auto" else {})
        schema = pa.schema([field.with_metadata(shuffled if field.name == "value" else metadata) for field in SCHEMA])
        with workplace(MEMORY) as folder:
            path = folder / "samples.lance"
            lance.write_dataset(table.cast(schema), str(path), data_storage_version="stable")
            return pack_folder(path)

    def load(self, data: bytes) -> pa.Table:
        """Read all rows."""
        import lance

        with workplace(MEMORY) as folder:
            path = folder / "samples.lance"
            unpack_folder(data, path)
            return lance.dataset(str(path)).to_table()
