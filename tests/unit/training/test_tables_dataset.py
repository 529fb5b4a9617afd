"""From an understood table to tensors: ranges, splits, rare and missing categories, words read by the graph."""

import numpy as np
import pandas as pd
import pytest
import torch

from training.datasets.dataset import Dataset
from training.errors import UnfitTable
from training.networks.table import Categories, Numbers, TableNetwork, Words, calendar
from training.tables.baselines import fit_baselines
from training.tables.corrections import Corrections
from training.tables.dataset import assemble, vocabulary_size
from training.tables.read import Table
from training.tables.understand import understand
from training.tables.words import reader, vocabulary, words

ROWS = 200
RANDOM = np.random.default_rng(3)
DAYS = pd.to_datetime("2022-01-01") + pd.to_timedelta(RANDOM.permutation(ROWS), unit="D")
FRAME = pd.DataFrame(
    {
        "size": np.where(np.arange(ROWS) % 9 == 0, np.nan, RANDOM.normal(5, 1, ROWS).round(2)),
        "count": RANDOM.integers(0, 30, ROWS),
        "is_new": RANDOM.integers(0, 2, ROWS),
        "when": DAYS,
        "plan": [["basic", "plus", None, "basic"][n % 4] if n != 7 else "gold" for n in range(ROWS)],
        "remark": [f"{['Good', 'bad,', 'fine'][n % 3]} work by number {n}" for n in range(ROWS)],
        "y": ["no", "yes"] * (ROWS // 2),
    }
).astype({"remark": "str", "plan": "str", "y": "str"})


def assembled(frame: pd.DataFrame = FRAME, target: str = "y", said: Corrections | None = None) -> Dataset:
    return assemble(understand("data.csv", Table(frame), target, said or Corrections()))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return assembled()


def test_columns_become_features_with_kinds_ranges_and_what_stands_for_a_gap(dataset: Dataset) -> None:
    numbers = {column.name: column for column in dataset.columns["numbers"]}
    [plan], [remark] = dataset.columns["categories"], dataset.columns["texts"]

    assert [numbers[name].kind for name in ("size", "count", "is_new", "when")] == [
        "number",
        "integer",
        "integer",
        "date",
    ]
    assert (numbers["size"].missing, numbers["count"].missing) == ("nan", "refuse")
    assert (numbers["count"].minimum, numbers["count"].maximum) == (0, 58)
    assert (numbers["is_new"].minimum, numbers["is_new"].maximum) == (0, 1)
    assert numbers["when"].maximum is not None and numbers["when"].maximum > 19_000 + 3650
    assert plan.categories == ("basic", "plus", "(other)", "(missing)") and plan.fill == "(missing)"
    assert remark.kind == "text" and remark.missing == "refuse"


def test_every_value_of_the_table_is_within_the_ranges_that_are_served(dataset: Dataset) -> None:
    for part in (dataset.train, dataset.validation, dataset.test):
        for at, column in enumerate(dataset.columns["numbers"]):
            known = part.inputs["numbers"][:, at]
            known = known[~known.isnan()]
            assert column.minimum is not None and column.maximum is not None
            assert known.min() >= column.minimum and known.max() <= column.maximum


def test_what_a_person_says_of_a_column_is_what_a_caller_reads() -> None:
    said = {"count": {"description": "Visits so far", "unit": "visits", "minimum": 0, "maximum": 99}}
    [_, count, *_] = assembled(said=Corrections.model_validate({"columns": said})).columns["numbers"]

    assert (count.description, count.unit, count.minimum, count.maximum) == ("Visits so far", "visits", 0, 99)


def test_by_time_the_latest_rows_are_held_out_and_a_day_is_not_cut_in_two() -> None:
    days = pd.to_datetime("2022-01-01") + pd.to_timedelta(np.arange(ROWS) // 9, unit="D")
    dataset = assembled(FRAME.assign(when=days))
    train, validation, test = (
        part.inputs["numbers"][:, 3] for part in (dataset.train, dataset.validation, dataset.test)
    )

    assert train.max() < validation.min() and validation.max() < test.min()
    assert len(train) + len(validation) + len(test) == ROWS
    assert dataset.split.startswith("by when: train from 2022-01-01, validation from 2022-01-")


def test_by_time_a_class_that_was_not_there_yet_is_told() -> None:
    later = FRAME.sort_values("when").assign(y=["no"] * (ROWS - 30) + ["yes"] * 30)
    with pytest.raises(UnfitTable, match="split by 'when', the train rows have no y yes; --time none"):
        assembled(later)


def test_by_chance_every_part_has_the_mixture_of_the_whole() -> None:
    dataset = assembled(said=Corrections(time="none"))

    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [120, 40, 40]
    assert dataset.test.targets.float().mean() == 0.5


def test_the_first_test_row_which_is_the_example_has_all_its_numbers(dataset: Dataset) -> None:
    assert not dataset.test.inputs["numbers"][0].isnan().any()
    assert dataset.test.inputs["numbers"].isnan().any()


def test_a_thousand_columns_work() -> None:
    wide = pd.DataFrame({f"c{n}": RANDOM.normal(size=80) for n in range(1000)} | {"y": ["a", "b"] * 40})

    assert assembled(wide).train.inputs["numbers"].shape == (48, 1000)


def test_spellings_of_a_word_share_a_number_and_unknown_words_have_none(dataset: Dataset) -> None:
    texts = np.array([["slow and late", "Slow!"], ["late", "slow, late"], ["so slow", ""]] * 2, object)
    found = vocabulary(texts)
    read = reader(found, columns=2, width=3)

    assert found["slow"] == found["Slow!"] == found["SLOW,"] != found["late"]
    assert words(read, np.array([["very  slow", ""], ["late " * 9, "LATE."]], object)).tolist() == [
        [[0, found["slow"], 0], [0, 0, 0]],
        [[found["late"]] * 3, [found["late"], 0, 0]],
    ]
    assert vocabulary_size(read) == max(found.values()) + 1
    assert dataset.reader is not None and dataset.test.sent().keys() == {"numbers", "categories", "texts"}


def test_texts_without_a_common_word_are_read_as_no_words() -> None:
    read = reader(vocabulary(np.array([["a"], ["b"]], object)), columns=1, width=2)

    assert words(read, np.array([["a b"]], object)).tolist() == [[[0, 0]]]
    assert vocabulary_size(read) == 1


def test_the_calendar_in_the_graph_is_the_calendar() -> None:
    days = np.concatenate([np.arange(-719_162, 2_932_897, 997), np.arange(-1000, 30_000)])
    found = calendar(torch.from_numpy(days).float()[:, None])[:, 0]

    dates = days.astype("datetime64[D]")
    assert (found[:, :12].argmax(dim=1).numpy() == dates.astype("datetime64[M]").astype(int) % 12).all()
    assert (found[:, 12:].argmax(dim=1).numpy() == (days + 3) % 7).all()
    assert (found.sum(dim=1) == 2).all()


@pytest.mark.parametrize("bins", [0, 4])
def test_a_network_for_a_table_answers_every_row_gaps_or_not(dataset: Dataset, bins: int) -> None:
    network = TableNetwork(
        (3,), (4,), 20, 2, dataset.train.inputs, dataset.train.targets, hidden=(8,), dropout=0.0, bins=bins
    ).eval()
    rows = dict(dataset.test.inputs) | {"words": dataset.test.inputs["words"].clamp(max=19)}

    together = network(**rows)
    nothing = network(**(rows | {"numbers": torch.full_like(rows["numbers"], torch.nan)}))

    assert together.shape == (len(dataset.test), 2)
    assert together.isfinite().all() and nothing.isfinite().all()
    torch.testing.assert_close(network(**{name: one[:1] for name, one in rows.items()}), together[:1])


def test_a_day_after_all_training_rows_has_its_own_weekday_and_no_trend_of_its_own(dataset: Dataset) -> None:
    layer = Numbers(dataset.train.inputs["numbers"], (3,), bins=4)
    rows = dataset.test.inputs["numbers"][:1].repeat(3, 1)
    rows[:, 3] = torch.tensor([24_000.0, 24_001.0, 24_007.0])

    tomorrow, after, in_a_week = layer(rows)
    assert not torch.equal(tomorrow, after)
    assert torch.equal(tomorrow, in_a_week)


def test_the_padding_of_a_text_counts_for_nothing() -> None:
    layer = Words(columns=1, vocabulary=5)

    torch.testing.assert_close(layer(torch.tensor([[[3, 4, 0, 0]]])), layer(torch.tensor([[[0, 3, 0, 4]]])))


def test_categories_of_columns_that_share_a_table_are_told_apart() -> None:
    layer = Categories((3, 3, 40))
    found = layer(torch.tensor([[1, 0, 5], [0, 1, 5]]))

    assert found.shape == (2, layer.width)
    assert not torch.allclose(found[0], found[1])


@pytest.mark.parametrize("target", ["y", "size"])
def test_both_baselines_see_all_kinds_of_columns_and_the_better_comes_first(target: str) -> None:
    dataset = assembled(target=target)
    classes = len(dataset.target.labels)
    dates = [at for at, column in enumerate(dataset.columns["numbers"]) if column.kind == "date"]
    size = vocabulary_size(dataset.reader)

    found = fit_baselines(dataset.train, dataset.validation, dates=dates, vocabulary=size, classes=classes)

    assert found[0].loss <= found[1].loss
    assert {one.baseline.description.split(" (")[0] for one in found} == {
        "logistic regression" if classes else "ridge regression",
        "gradient boosting",
    }
    assert all(len(one.baseline.predict(dataset.test)) == len(dataset.test) for one in found)


def test_the_same_table_is_the_same_data_and_another_text_is_not(dataset: Dataset) -> None:
    assert assembled().sha256 == dataset.sha256
    assert assembled(FRAME.assign(remark=FRAME["remark"].str.upper())).sha256 != dataset.sha256
