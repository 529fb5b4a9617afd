"""The tables and arrays that data sets are made from: read out of small files made here, and, where they have been
fetched already, out of the real ones. No test fetches anything."""

import gzip
import lzma
import struct
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch

from training.datasets import fashion_mnist, lending_club, mnist, online_retail, sp500, spam_assassin
from training.datasets.fetched import cache, sha256_of


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Place":
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path))
    return Place(tmp_path, monkeypatch)


class Place:
    """Puts files made here where a package's would be, and pins them instead."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch

    def __call__(self, module: ModuleType, registry: str, member: str, files: Mapping[str, bytes]) -> None:
        package = self.folder / registry / "-".join(module.PACKAGE)
        for name, content in files.items():
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            (package / name).write_bytes(content)
        self.monkeypatch.setattr(module, "SHA256", sha256_of(package / member))


def real(module: ModuleType, registry: str) -> None:
    if not (cache() / registry / "-".join(module.PACKAGE)).exists():
        pytest.skip(f"{'-'.join(module.PACKAGE)} has not been fetched")


def test_lending_club_is_whole() -> None:
    real(lending_club, "debian")

    loans = lending_club.raw()

    assert loans.shape == (9857, 23)
    assert loans["Class"].value_counts().to_dict() == {"good": 9340, "bad": 517}
    assert not loans.isna().any(axis=None)
    assert [str(dtype) for dtype in loans.dtypes].count("Int32") == 14


def test_an_application_has_no_answer_of_the_lender_and_every_value_within_its_range() -> None:
    real(lending_club, "debian")

    dataset = lending_club.load()

    assert not {"int_rate", "sub_grade", "addr_state"} & {*lending_club.NUMBERS, *lending_club.CATEGORIES}
    for part in (dataset.train, dataset.validation, dataset.test):
        for at, column in enumerate(lending_club.NUMBERS.values()):
            values = part.inputs["numbers"][:, at].numpy()
            assert np.nanmin(values) >= column.minimum and np.nanmax(values) <= column.maximum
            assert np.isnan(values).any() == (column.missing == "nan")
            assert column.kind == "number" or (values == values.round()).all()
        for at, size in enumerate(lending_club.SIZES):
            assert set(part.inputs["categories"][:, at].tolist()) == set(range(size))


def test_loans_are_grouped_by_all_that_the_data_tell_of_groups() -> None:
    real(lending_club, "debian")

    dataset = lending_club.load()

    kinds = {name.partition(":")[0] for name in dataset.groups}
    assert kinds == {"term", "income", "region"}
    for kind in kinds:
        each = [rows for name, rows in dataset.groups.items() if name.startswith(f"{kind}:")]
        assert (np.sum(each, axis=0) == 1).all() and len(each[0]) == len(dataset.test)
    long = dataset.groups["term: 60 months"]
    assert (dataset.test.inputs["categories"].numpy()[long, 0] == 1).all()


def test_days_of_the_index_are_read_month_first(place: Place) -> None:
    text = (
        b"Date,Open,High,Low,Close,Adj Close,Volume\n2/1/1999,1.5,4.5,0.5,2.5,2.25,3000000000\n2/10/1999,2,3,1,2,2,7\n"
    )
    place(sp500, "pypi", sp500.FILE, {sp500.FILE: gzip.compress(text)})

    days = sp500.raw()

    assert list(days.index) == [pd.Timestamp(1999, 2, 1), pd.Timestamp(1999, 2, 10)]
    assert days.iloc[0].to_dict() == {
        "open": 1.5,
        "high": 4.5,
        "low": 0.5,
        "close": 2.5,
        "adjusted_close": 2.25,
        "volume": 3_000_000_000,
    }


def test_the_index_is_whole() -> None:
    real(sp500, "pypi")

    days = sp500.raw()

    assert len(days) == 5031
    assert (days.index[0], days.index[-1]) == (pd.Timestamp(1999, 1, 4), pd.Timestamp(2018, 12, 31))
    assert days.index.is_monotonic_increasing and days.index.is_unique
    assert ((days["low"] <= days[["open", "close"]].min(axis=1)) & (days["high"] >= days["low"])).all()


def test_lines_of_invoices_keep_what_is_missing_and_what_only_looks_so(place: Place) -> None:
    text = (
        "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n"
        '489434,22041,"RECORD FRAME 7"" SINGLE SIZE ",48,12/1/2009 7:45,2.1,13085.0,United Kingdom\n'
        "C489435,NA,,-1,12/11/2009 17:05,0.0,,NA\n"
    )
    place(online_retail, "pypi", online_retail.FILE, {online_retail.FILE: lzma.compress(text.encode())})

    lines = online_retail.raw()

    assert lines.iloc[0].to_list() == [
        *("489434", "22041", 'RECORD FRAME 7" SINGLE SIZE ', 48),
        *(pd.Timestamp(2009, 12, 1, 7, 45), 2.1, 13085, "United Kingdom"),
    ]
    assert lines.iloc[1].drop(["description", "customer"]).to_list() == [
        *("C489435", "NA", -1, pd.Timestamp(2009, 12, 11, 17, 5), 0.0, "NA")
    ]
    assert lines.isna().to_numpy().sum() == lines.iloc[1][["description", "customer"]].isna().sum() == 2


def test_the_invoices_are_whole_and_small_enough_to_work_with() -> None:
    real(online_retail, "pypi")

    lines = online_retail.raw()

    assert len(lines) == 1_067_371
    assert (lines["invoice"].nunique(), lines["country"].nunique(), lines["customer"].nunique()) == (53_628, 43, 5_942)
    assert (lines["customer"].isna().sum(), lines["description"].isna().sum()) == (243_007, 4_382)
    assert (lines["time"].min(), lines["time"].max()) == (
        pd.Timestamp(2009, 12, 1, 7, 45),
        pd.Timestamp(2011, 12, 9, 12, 50),
    )
    assert lines.memory_usage(deep=True).sum() < 50e6


def test_of_mails_that_say_the_same_the_first_stays(place: Place) -> None:
    mails = {
        "spam-1/00001.txt": b"Subject: last\n\nBuy\n",
        "easy-ham-1/00002.txt": b"Subject: second\nTo: b\n\nHello  there\n\n\nPaul\n",
        "easy-ham-1/00001.txt": b"Subject: first\nTo: a\n\nHello there\nPaul\n",
        "hard-ham-1/00001.txt": b"Subject: third\n\n\xa3 5\n",
        "hard-ham-1/00001.json": b"{}",
        "file_list.json": b"[]",
    }
    place(spam_assassin, "npm", "data", {f"data/{name}": content for name, content in mails.items()})

    contents, spam = spam_assassin.raw()

    assert contents == [mails[f"{name}/00001.txt"] for name in ("easy-ham-1", "hard-ham-1", "spam-1")]
    assert spam.tolist() == [0, 0, 1]


def test_the_mails_are_whole() -> None:
    real(spam_assassin, "npm")

    contents, spam = spam_assassin.raw()

    assert (len(contents), len(spam), spam.sum()) == (5839, 5839, 1729)
    assert contents[0].startswith(b"From exmh-workers-admin@redhat.com  Thu Aug 22 12:36:23 2002\n")


def test_pictures_are_read_in_the_order_of_their_axes(place: Place) -> None:
    pictures = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    labels = np.array([9, 0], np.uint8)
    idx = {
        "images-idx3-ubyte.gz": struct.pack(">4B3I", 0, 0, 8, 3, *pictures.shape) + pictures.tobytes(),
        "labels-idx1-ubyte.gz": struct.pack(">4BI", 0, 0, 8, 1, *labels.shape) + labels.tobytes(),
    }
    files = {
        f"{fashion_mnist.FOLDER}{part}-{name}": gzip.compress(content)
        for part in ("train", "t10k")
        for name, content in idx.items()
    }
    place(fashion_mnist, "debian", fashion_mnist.FOLDER, files)

    for part in fashion_mnist.raw():
        np.testing.assert_array_equal(part[0], pictures)
        np.testing.assert_array_equal(part[1], labels)
        assert all(array.flags.writeable for array in part)


def test_fashion_mnist_is_whole() -> None:
    real(fashion_mnist, "debian")

    for (pictures, labels), rows in zip(fashion_mnist.raw(), (60_000, 10_000), strict=True):
        assert pictures.shape == (rows, 28, 28)
        assert np.bincount(labels).tolist() == [rows // 10] * len(fashion_mnist.LABELS)


def test_fashion_mnist_is_divided_as_its_makers_did_with_validation_rows_out_of_theirs_to_train_with() -> None:
    real(fashion_mnist, "debian")

    dataset, some = fashion_mnist.load(), fashion_mnist.load(train_rows=1000)

    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [55_000, 5_000, 10_000]
    assert dataset.validation.targets.bincount().tolist() == [500] * 10
    _, (pictures, labels) = fashion_mnist.raw()
    np.testing.assert_array_equal(dataset.test.inputs["image"].numpy(), pictures)
    np.testing.assert_array_equal(dataset.test.targets.numpy(), labels)
    together = np.concatenate([part.targets.numpy() for part in (dataset.train, dataset.validation)])
    assert np.bincount(together).tolist() == [6000] * 10
    assert len(some.train) == 1000 and torch.equal(some.train.targets, dataset.train.targets[:1000])
    assert torch.equal(some.validation.inputs["image"], dataset.validation.inputs["image"])


def test_digits_are_read_a_line_each_with_the_digit_at_its_end(place: Place) -> None:
    pixels = np.arange(2 * 784).reshape(2, 784) % 256
    lines = "\n".join(",".join(map(str, [*row, digit])) for row, digit in zip(pixels, (7, 0), strict=True))
    place(mnist, "pypi", mnist.FILE, {mnist.FILE: gzip.compress(lines.encode())})

    pictures, digits = mnist.raw()

    np.testing.assert_array_equal(pictures, pixels.reshape(2, 28, 28))
    assert digits.tolist() == [7, 0]


def test_mnist_is_whole() -> None:
    real(mnist, "pypi")

    dataset = mnist.load()

    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [3000, 1000, 1000]
    for part in (dataset.train, dataset.validation, dataset.test):
        assert len(set(part.targets.bincount().tolist())) == 1
        assert (part.inputs["image"].min().item(), part.inputs["image"].max().item()) == (0, 255)
