"""Lending Club: 9,857 loans between private people in the USA, 517 of them (5.2 %) in arrears.

In the R package modeldata, out of which Debian makes one: a part of the rows and columns that Lending Club published of
the first quarter of 2016. The package has no description of the columns but their names.
"""

import pandas as pd

from training.datasets import r_data
from training.datasets.fetched import debian

SOURCE = "Debian r-cran-modeldata 1.1.0-1, lending_club; R package modeldata"
LICENCE = "MIT"
PACKAGE = ("r-cran-modeldata", "1.1.0-1")
FOLDER = "usr/lib/R/site-library/modeldata/data/"
SHA256 = "50c29c198d4717a1552196424e477c296a96e61a0e90bff6a8ad83784900fbdb"


def raw() -> pd.DataFrame:
    """One line a loan: 22 columns and its Class; no value is missing. Raises DataNotFetched.

    Class: good for paid back or on time, bad for charged off, defaulted or 21 to 120 days late. Class, term, sub_grade,
    addr_state, verification_status and emp_length are categories, three columns are floats, the others Int32.
    """
    return r_data.database(debian(*PACKAGE, FOLDER, SHA256), "lending_club")
