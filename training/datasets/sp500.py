"""S&P 500: what the index did on each of 5,031 trading days, 4 January 1999 to 31 December 2018.

In the wheel of arch, whose examples use it.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from training.datasets.dataset import Column, Dataset, Rows, Target, fingerprint
from training.datasets.fetched import pypi

SOURCE = "arch 8.0.0 on PyPI, arch/data/sp500/sp500.csv.gz"
LICENCE = "NCSA, that of arch; the wheel states none for the figures"
PACKAGE = ("arch", "8.0.0")
FILE = "arch/data/sp500/sp500.csv.gz"
SHA256 = "1e028cbb9c400cc018c816ccc439b33c919387e726c3ed5ca2c05c82746059de"

WINDOW, AHEAD = 22, 5
"""Trading days that are given, a month, and days that are foreseen, a week."""

YEARS = {"train": (1999, 2012), "validation": (2013, 2014), "test": (2015, 2018)}
"""First and last year of each part; a window and the days that it foresees lie in one part."""

BLOCK_DAYS = 20
"""Rows of neighbouring days share most of their days, so an interval is made of blocks of them."""

PRICES = tuple(
    Column(
        name,
        f"{what} price of each of the last {WINDOW} trading days, the oldest first",
        "points",
        shape=(WINDOW,),
        minimum=0.01,
        maximum=1e6,
    )
    for name, what in (("open", "First"), ("high", "Highest"), ("low", "Lowest"), ("close", "Last"))
)


def raw() -> pd.DataFrame:
    """One line a day, by date: open, high, low, close and adjusted_close in points, volume in shares.

    Raises DataNotFetched.
    """
    days = pd.read_csv(pypi(*PACKAGE, FILE, SHA256), index_col="Date", parse_dates=["Date"], date_format="%m/%d/%Y")
    return days.rename(columns=lambda name: name.lower().replace("adj ", "adjusted_")).rename_axis(index="date")


def load() -> Dataset:
    """A row a day: the prices of a month, and the mean volatility of the week after it. Raises DataNotFetched."""
    days = raw()
    prices = {column.name: days[column.name].to_numpy() for column in PRICES}
    volatility = garman_klass(**prices)
    last = np.arange(WINDOW - 1, len(days) - AHEAD)
    given = last[:, None] + np.arange(1 - WINDOW, 1)  # (rows, days)
    foreseen = last[:, None] + np.arange(1, AHEAD + 1)  # (rows, days)
    inputs = {name: torch.from_numpy(values[given].astype(np.float32)) for name, values in prices.items()}
    targets = (100 * volatility[foreseen].mean(axis=1)).astype(np.float32)
    rows, years = Rows(inputs, torch.from_numpy(targets)), days.index.year.to_numpy()
    parts = {
        part: np.flatnonzero((years[given[:, 0]] >= first) & (years[foreseen[:, -1]] <= final))
        for part, (first, final) in YEARS.items()
    }
    return Dataset(
        name="S&P 500, daily, 1999 to 2018",
        source=SOURCE,
        licence=LICENCE,
        sha256=fingerprint(*(values.numpy() for values in inputs.values()), targets),
        columns={column.name: (column,) for column in PRICES},
        target=Target("volatility", f"Mean Garman-Klass volatility of the next {AHEAD} trading days", "% a day"),
        split="by time: "
        + ", ".join(f"{part} {first} to {final}" for part, (first, final) in YEARS.items())
        + "; no window crosses from one into another",
        train=rows.take(torch.from_numpy(parts["train"])),
        validation=rows.take(torch.from_numpy(parts["validation"])),
        test=rows.take(torch.from_numpy(parts["test"])),
        blocks=np.arange(len(parts["test"])) // BLOCK_DAYS,
    )


def garman_klass(
    open: NDArray[np.float64],  # noqa: A002, the price's name
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Each day's volatility, as a share of the price, from its four prices.

    Source: Garman & Klass, On the Estimation of Security Price Volatilities from Historical Data, 1980.
    """
    variance = 0.5 * np.log(high / low) ** 2 - (2 * np.log(2) - 1) * np.log(close / open) ** 2
    volatility: NDArray[np.float64] = np.sqrt(variance)
    return volatility
