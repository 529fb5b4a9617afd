"""Lending Club: 9,857 loans between private people in the USA, 517 of them (5.2 %) in arrears.

In the R package modeldata, out of which Debian makes one: a part of the rows and columns that Lending Club published of
the first quarter of 2016. The package has no description of the columns but their names; what they mean is told here as
in Lending Club's own dictionary.

`load` takes what is known when somebody asks for a loan. Left out: int_rate and sub_grade, the lender's own judgement
of the risk, which come after the application; addr_state, since where people live stands for who they are.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from training.datasets import r_data
from training.datasets.dataset import Column, Dataset, Rows, Target, divide, fingerprint, places, split_in_words
from training.datasets.fetched import debian

SOURCE = "Debian r-cran-modeldata 1.1.0-1, lending_club; R package modeldata"
LICENCE = "MIT"
PACKAGE = ("r-cran-modeldata", "1.1.0-1")
FOLDER = "usr/lib/R/site-library/modeldata/data/"
SHA256 = "50c29c198d4717a1552196424e477c296a96e61a0e90bff6a8ad83784900fbdb"

MONEY, YEARLY = "USD", "USD a year"

NUMBERS = {
    "funded_amnt": Column("loan_amount", "What is lent", MONEY, minimum=500, maximum=100_000),
    "annual_inc": Column("applicant_income", "As the applicant states it", YEARLY, minimum=0, maximum=10_000_000),
    "emp_length": Column(
        "applicant_years_employed",
        "With the present employer; 0 for less than one, 10 for ten and more",
        "years",
        minimum=0,
        maximum=10,
        missing="nan",
    ),
    "revol_util": Column(
        "utilisation_revolving", "Of the limits of cards and credit lines, what is used", "%", minimum=0, maximum=500
    ),
    "all_util": Column("utilisation_all", "Balance to limit over all credit", "%", minimum=0, maximum=500),
    "delinq_2yrs": Column(
        "late_payments_2y", "Times 30 or more days late in the past 2 years", "", "integer", minimum=0, maximum=100
    ),
    "acc_now_delinq": Column("late_accounts", "Accounts now late", "", "integer", minimum=0, maximum=100),
    "delinq_amnt": Column("late_amount", "Owed on accounts now late", MONEY, minimum=0, maximum=10_000_000),
    "inq_last_6mths": Column(
        "inquiries_6m",
        "By lenders in the past 6 months, without those for cars and houses",
        "",
        "integer",
        minimum=0,
        maximum=200,
    ),
    "inq_last_12m": Column("inquiries_12m", "By lenders in the past 12 months", "", "integer", minimum=0, maximum=200),
    "inq_fi": Column("inquiries_finance", "For personal loans", "", "integer", minimum=0, maximum=200),
    "num_il_tl": Column("instalment_loans", "Ever taken", "", "integer", minimum=0, maximum=500),
    "open_il_6m": Column("instalment_loans_active", "Being paid back now", "", "integer", minimum=0, maximum=200),
    "open_il_12m": Column("instalment_loans_12m", "Taken in the past 12 months", "", "integer", minimum=0, maximum=200),
    "open_il_24m": Column("instalment_loans_24m", "Taken in the past 24 months", "", "integer", minimum=0, maximum=200),
    "total_bal_il": Column("instalment_balance", "Still owed on them", MONEY, minimum=0, maximum=10_000_000),
    "total_il_high_credit_limit": Column(
        "instalment_limit", "What they amounted to when taken", MONEY, minimum=0, maximum=10_000_000
    ),
}

CATEGORIES = {
    "term": Column("loan_term", "Monthly payments", kind="category", categories=("36 months", "60 months")),
    "verification_status": Column(
        "applicant_income_check",
        "Did the lender check the income, or that its source exists?",
        kind="category",
        categories=("not checked", "source checked", "checked"),
    ),
}

IN_WORDS = {
    "term": {"term_36": "36 months", "term_60": "60 months"},
    "verification_status": {
        "Not_Verified": "not checked",
        "Source_Verified": "source checked",
        "Verified": "checked",
    },
}

SIZES = tuple(len(column.categories) for column in CATEGORIES.values())

YEARS = {"emp_lt_1": 0, "emp_ge_10": 10, "emp_unk": np.nan} | {f"emp_{years}": years for years in range(1, 10)}

REGIONS = {
    "Northeast": "CT MA ME NH NJ NY PA RI VT",
    "Midwest": "IA IL IN KS MI MN MO ND NE OH SD WI",
    "South": "AL AR DC DE FL GA KY LA MD MS NC OK SC TN TX VA WV",
    "West": "AK AZ CA CO HI ID MT NM NV OR UT WA WY",
}
"""As the Census Bureau divides the states."""


def raw() -> pd.DataFrame:
    """One line a loan: 22 columns and its Class; no value is missing. Raises DataNotFetched.

    Class: good for paid back or on time, bad for charged off, defaulted or 21 to 120 days late. Class, term, sub_grade,
    addr_state, verification_status and emp_length are categories, three columns are floats, the others Int32.
    """
    return r_data.database(debian(*PACKAGE, FOLDER, SHA256), "lending_club")


def load() -> Dataset:
    """numbers (rows, 17) FP32, NaN for an unknown employment; categories (rows, 2) INT64. Raises DataNotFetched."""
    loans = raw()
    numbers = np.stack([_number(loans, name) for name in NUMBERS], axis=1)
    categories = np.stack([_places(loans, name) for name in CATEGORIES], axis=1)
    targets = (loans["Class"] == "bad").to_numpy().astype(np.int64)
    rows = Rows(
        {"numbers": torch.from_numpy(numbers), "categories": torch.from_numpy(categories)}, torch.from_numpy(targets)
    )
    train, validation, test = divide(rows, targets)
    return Dataset(
        name="Lending Club, loans of the first quarter of 2016 (a part)",
        source=SOURCE,
        licence=LICENCE,
        sha256=fingerprint(numbers, categories, targets),
        columns={"numbers": tuple(NUMBERS.values()), "categories": tuple(CATEGORIES.values())},
        target=Target("repayment", "Is the loan paid back, or will it be in arrears?", labels=("good", "bad")),
        split=split_in_words("outcome"),
        train=train,
        validation=validation,
        test=test,
        groups=_groups(loans.iloc[places(targets)[2].numpy()]),
    )


def _number(loans: pd.DataFrame, name: str) -> NDArray[np.float32]:
    column = loans[name].astype(str).map(YEARS) if name == "emp_length" else loans[name]
    values: NDArray[np.float32] = column.to_numpy(np.float32)
    return values


def _places(loans: pd.DataFrame, name: str) -> NDArray[np.int64]:
    at = {raw: CATEGORIES[name].categories.index(word) for raw, word in IN_WORDS[name].items()}
    values: NDArray[np.int64] = loans[name].astype(str).map(at).to_numpy(np.int64)
    return values


def _groups(loans: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """By term, by how the income was checked, and by region, which the network is not told."""
    region = {state: name for name, states in REGIONS.items() for state in states.split()}
    told = {
        "term": loans["term"].astype(str).map(IN_WORDS["term"]),
        "income": loans["verification_status"].astype(str).map(IN_WORDS["verification_status"]),
        "region": loans["addr_state"].astype(str).map(region),
    }
    return {
        f"{name}: {value}": (column == value).to_numpy()
        for name, column in told.items()
        for value in sorted(column.unique())
    }
