"""Baskets of Online Retail II: some articles of an invoice are in the basket already, another one comes next.

A row is drawn out of an invoice: up to 20 of its articles are the basket so far, one of the others is what comes next.
The order of the lines counts for nothing, since the source does not say that it is the customer's.
"""

import re

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from training.datasets import online_retail
from training.datasets.dataset import SPLIT_SEED, Column, Dataset, Rows, Target, fingerprint

NOTHING = "(nothing)"
"""Stands where a basket has no more articles; number 0 of all articles."""

MOST = 20
"""Articles of a basket that is asked for."""

RANKED = 10

TRAIN, VALIDATION, TEST = (pd.Timestamp(day) for day in ("2010-10-04", "2011-10-03", "2011-11-07"))
"""Mondays, from which on invoices are for one part: a year, five weeks, and the last five weeks of all. The year before
is left out: with it, item-kNN's hit rate on validation fell from .232 to .229."""

FEWEST, SINCE = 30, VALIDATION - pd.Timedelta(weeks=26)
"""An article is one of at least so many invoices for training, at least one of them since then."""

DRAWS = 6
"""Rows of each invoice for training; every other invoice has one."""


def load() -> Dataset:
    lines = _lines()
    lines = lines[lines["time"] >= TRAIN]
    names = _names(lines[lines["time"] < VALIDATION])
    known = _known(lines, names)
    chance = np.random.default_rng(SPLIT_SEED)
    train = draw(known[known["time"] < VALIDATION], DRAWS, chance)
    validation = draw(known[(known["time"] >= VALIDATION) & (known["time"] < TEST)], 1, chance)
    test = draw(known[known["time"] >= TEST], 1, chance)
    articles = (NOTHING, *names)
    basket = Column(
        "basket",
        f"The articles that are in the basket, 1 to {MOST} of them in any order",
        kind="category",
        shape=(MOST,),
        categories=articles,
        missing="fill",
        fill=NOTHING,
    )
    return Dataset(
        name="Online Retail II, baskets",
        source=online_retail.SOURCE,
        licence=online_retail.LICENCE,
        sha256=fingerprint(np.array(articles), *(_as_array(rows) for rows in (train, validation, test))),
        columns={"basket": (basket,)},
        target=Target("articles", "What the customer may add next", labels=articles, top=RANKED),
        split=f"by time: invoices of the year before {VALIDATION:%d %B %Y} to train, {DRAWS} rows "
        f"of each; of the five weeks from then on to validate, and of the five from {TEST:%d %B %Y} on to test, a row "
        f"each. A row is up to {MOST} articles of an invoice, how many and which by chance, and another one of it; "
        f"fixed by seed {SPLIT_SEED}",
        train=train,
        validation=validation,
        test=test,
    )


def _lines() -> pd.DataFrame:
    """Things that were sold, each once an invoice: invoice, article, description, time. Postage, fees and tests have
    articles that are not five digits; cancelled and corrected invoices begin with a letter."""
    lines = online_retail.raw()
    things, sales = (
        _that_match(lines[column], form) for column, form in (("article", r"\d{5}[A-Za-z]*"), ("invoice", r"\d+"))
    )
    lines = lines[things & sales & (lines["quantity"] > 0) & (lines["price"] > 0)]
    named = {"article": lines["article"].map(str.upper), "description": lines["description"].map(_one_line)}
    kept = lines[["invoice", "time"]].assign(**named).astype({"article": "category", "invoice": "str"})
    return kept.drop_duplicates(["invoice", "article"])


def _that_match(values: pd.Series, form: str) -> pd.Series:
    """Which of the values, a few texts repeated, are all of this regular expression."""
    return values.isin([text for text in values.cat.categories if re.fullmatch(form, text)])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _names(lines: pd.DataFrame) -> dict[str, str]:
    """Name -> code of each article that is kept. A name is what it was called most often, with its code where another
    article has the same."""
    by_article = lines.groupby("article", observed=True)
    count, last = by_article.size(), by_article["time"].max()
    kept = count.index[(count >= FEWEST) & (last >= SINCE)]
    called = lines.groupby(["article", "description"], observed=True).size().reset_index(name="times")
    called = called.sort_values(["times", "description"], ascending=[False, True]).drop_duplicates("article")
    names = called.set_index("article")["description"].astype(str).loc[kept]
    shared = names.duplicated(keep=False)
    unique = names.where(~shared, names + " (" + names.index.astype(str) + ")")
    return dict(sorted(zip(unique, names.index, strict=True)))


def _known(lines: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """The numbers of the articles that have names, in invoices of two of them or more: invoice, number, time. An
    invoice has the time of its first line."""
    numbers = {code: number for number, code in enumerate(names.values(), start=1)}
    known = lines[["invoice", "time"]].assign(number=lines["article"].map(numbers).astype("Int64"))
    known = known.dropna().sort_values(["invoice", "number"])
    by_invoice = known.groupby("invoice")
    known = known.assign(time=by_invoice["time"].transform("min"), articles=by_invoice["number"].transform("size"))
    return known[known["articles"] > 1].sort_values(["time", "invoice", "number"])


def draw(known: pd.DataFrame, draws: int, chance: np.random.Generator) -> Rows:
    """basket: (rows, MOST) numbers of articles, 0 behind the last; targets: (rows,), the number of another one."""
    invoice = np.repeat(pd.factorize(known["invoice"])[0], draws)
    row = invoice * draws + np.tile(np.arange(draws), len(known))
    number = np.repeat(known["number"].to_numpy(np.int64), draws)
    order = np.argsort(row + chance.random(len(row)))
    row, number = row[order], number[order]
    articles = np.bincount(row)
    place = np.arange(len(row)) - (np.cumsum(articles) - articles)[row]
    size = chance.integers(1, np.minimum(MOST, articles - 1), endpoint=True)
    baskets = np.zeros((len(articles), MOST), np.int64)
    inside = (place > 0) & (place <= size[row])
    baskets[row[inside], place[inside] - 1] = number[inside]
    return Rows({"basket": torch.from_numpy(baskets)}, torch.from_numpy(number[place == 0]))


def _as_array(rows: Rows) -> NDArray[np.int64]:
    return np.column_stack([rows.inputs["basket"].numpy(), rows.targets.numpy()])
