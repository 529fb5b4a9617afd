"""S&P 500: what the index did on each of 5,031 trading days, 4 January 1999 to 31 December 2018.

In the wheel of arch, whose examples use it.
"""

import pandas as pd

from training.datasets.fetched import pypi

SOURCE = "arch 8.0.0 on PyPI, arch/data/sp500/sp500.csv.gz"
LICENCE = "NCSA, that of arch; the wheel states none for the figures"
PACKAGE = ("arch", "8.0.0")
FILE = "arch/data/sp500/sp500.csv.gz"
SHA256 = "1e028cbb9c400cc018c816ccc439b33c919387e726c3ed5ca2c05c82746059de"


def raw() -> pd.DataFrame:
    """One line a day, by date: open, high, low, close and adjusted_close in points, volume in shares.

    Raises DataNotFetched.
    """
    days = pd.read_csv(pypi(*PACKAGE, FILE, SHA256), index_col="Date", parse_dates=["Date"], date_format="%m/%d/%Y")
    return days.rename(columns=lambda name: name.lower().replace("adj ", "adjusted_")).rename_axis(index="date")
