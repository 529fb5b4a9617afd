"""Tables that R wrote, read without R: .rda files, and the lazy-load databases inside R packages.

A database is two files. Rdata.rdx, a gzipped R object, says at which bytes of Rdata.rdb each variable lies. A variable
there is four bytes of length, then its serialised object, most often compressed (R's `lazyLoadDBfetch`).
"""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import rdata
from rdata.parser import parse_data

CLASSES = {**rdata.conversion.DEFAULT_CLASS_MAP, "tbl_df": rdata.conversion.dataframe_constructor}
"""R's tibbles are data frames too."""

LZMA = [{"id": lzma.FILTER_LZMA2, "preset": 9}]
"""How R compresses with xz: its bytes have no header that would say so."""


def rda(file: Path, name: str) -> pd.DataFrame:
    """The data frame of that name in an .rda file. Raises KeyError if there is none.

    Factors are categories, integers are Int32 with its own missing value, row names are the index.
    """
    return _table(rdata.read_rda(file, constructor_dict=CLASSES, default_encoding="utf8"), name)


def database(folder: Path, name: str) -> pd.DataFrame:
    """As `rda`, out of the Rdata.rdx and Rdata.rdb in a folder, such as a package's data/."""
    index = _object(gzip.decompress((folder / "Rdata.rdx").read_bytes()))
    start, size = map(int, index["variables"][name])
    with (folder / "Rdata.rdb").open("rb") as variables:
        variables.seek(start)
        return _table({name: _object(decompressed(variables.read(size)))}, name)


def decompressed(variable: bytes) -> bytes:
    """A variable's serialised object. The fifth byte: 2 for bzip2, Z for xz, 0 for neither, or already zlib's first."""
    method, packed = variable[4:5], variable[5:]
    if method == b"2":
        return bz2.decompress(packed)
    if method == b"Z":
        return lzma.decompress(packed, format=lzma.FORMAT_RAW, filters=LZMA)
    return packed if method == b"0" else zlib.decompress(variable[4:])


def _table(variables: Mapping[str, object], name: str) -> pd.DataFrame:
    table = variables[name]
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"{name} is no data frame, but {type(table).__name__}")
    return table.rename(columns=str)  # numpy's own strings, which scikit-learn does not take for names


def _object(serialised: bytes) -> Any:
    parsed = parse_data(serialised, extension=".rds")
    return rdata.conversion.convert(parsed, CLASSES, default_encoding="utf8")
