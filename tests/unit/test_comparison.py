"""How far answers are apart, row by row and as a whole."""

import numpy as np
import pytest

from app.inference.comparison import COMPARED_ELEMENTS, relative_difference, row_difference


def test_every_row_is_measured_by_its_own_largest_number() -> None:
    wanted, got = np.array([[999.0], [1.0]]), np.array([[999.0], [1.5]])
    assert row_difference(wanted, got) == 0.25
    assert relative_difference(wanted, got) == 0.0005


@pytest.mark.parametrize(
    ("wanted", "got", "difference"),
    [
        ([np.nan, np.inf, -np.inf, 1], [np.nan, np.inf, -np.inf, 2], 0.5),
        ([np.nan, 1], [1, 1], np.inf),
        ([1, 1], [np.nan, 1], np.inf),
        ([np.inf, 1], [-np.inf, 1], np.inf),
        ([1, 1], [np.inf, 1], np.inf),
        ([], [], 0),
    ],
)
def test_nan_and_infinity_agree_with_themselves_alone(wanted: list[float], got: list[float], difference: float) -> None:
    assert relative_difference(np.array(wanted, np.float32), np.array(got, np.float32)) == difference


def test_rows_too_many_to_be_compared_at_once_are_all_compared() -> None:
    wanted = np.zeros((5, COMPARED_ELEMENTS // 2), np.float16)
    got = wanted.copy()
    got[4, -1] = 1
    assert row_difference(wanted, got) == 1
