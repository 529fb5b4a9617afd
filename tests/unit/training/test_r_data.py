"""R's tables, written here byte for byte as R packages hold them, come back with their names and types."""

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdata

from training.datasets import r_data

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "bzip2": lambda content: b"2" + bz2.compress(content),
    "xz": lambda content: b"Z" + lzma.compress(content, lzma.FORMAT_RAW, filters=r_data.LZMA),
    "stored": lambda content: b"0" + content,
}


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "size": pd.array([1, None, 3], dtype="Int32"),
            "kind": pd.Categorical(["b", "a", "b"], categories=["b", "a"]),
            "weight": [0.5, 1.0, 2.0],
        },
        index=pd.RangeIndex(1, 4),
    )


def serialised(folder: Path, value: object) -> bytes:
    rdata.write_rds(folder / "value", value, compression=None)
    return (folder / "value").read_bytes()


def write_database(folder: Path, compress: Callable[[bytes], bytes]) -> None:
    """The wanted table is the second variable, so that a reader that ignores the index finds another."""
    places, variables = {}, b""
    for name, value in (("other", table().head(1)), ("wanted", table())):
        content = serialised(folder, value)
        variable = struct.pack(">I", len(content)) + compress(content)
        places[name] = np.array([len(variables), len(variable)], np.int32)
        variables += variable
    (folder / "Rdata.rdb").write_bytes(variables)
    (folder / "Rdata.rdx").write_bytes(gzip.compress(serialised(folder, {"variables": places})))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_table_in_a_database_comes_back_whole(tmp_path: Path, compression: str) -> None:
    write_database(tmp_path, COMPRESSIONS[compression])

    pd.testing.assert_frame_equal(r_data.database(tmp_path, "wanted"), table(), check_index_type=False)


def test_a_table_in_an_rda_file_comes_back_whole(tmp_path: Path) -> None:
    rdata.write_rda(tmp_path / "tables.rda", {"other": table().head(1), "wanted": table()})

    pd.testing.assert_frame_equal(r_data.rda(tmp_path / "tables.rda", "wanted"), table(), check_index_type=False)


def test_the_names_of_columns_are_plain_text(tmp_path: Path) -> None:
    write_database(tmp_path, zlib.compress)

    assert {type(name) for name in r_data.database(tmp_path, "wanted").columns} == {str}


def test_a_variable_that_is_not_there_or_no_table_is_refused(tmp_path: Path) -> None:
    rdata.write_rda(tmp_path / "numbers.rda", {"numbers": np.array([1.0, 2.0])})

    with pytest.raises(KeyError, match="letters"):
        r_data.rda(tmp_path / "numbers.rda", "letters")
    with pytest.raises(TypeError, match="numbers is no data frame, but ndarray"):
        r_data.rda(tmp_path / "numbers.rda", "numbers")
