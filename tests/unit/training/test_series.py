"""Forecasts: their losses, their quantiles, what the graph makes of raw series, and splits by time."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from training.datasets import online_retail, sp500
from training.datasets.dataset import Dataset, Rows
from training.forecasts import ewma, exponential_smoothing, har, last_week
from training.losses import pinball, pinball_of_logs, scaled_pinball
from training.metrics import coverage_error, r2_of_logs
from training.networks.demand import DemandQuantiles
from training.networks.quantiles import at_level, ordered
from training.networks.sequences import Recurrent
from training.networks.volatility import VolatilityQuantiles, daily_volatility, har_coefficients, har_means

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


def prices(rows: int, days: int = 22, seed: int = 0) -> dict[str, Tensor]:
    """Four prices that could be of real days, (rows, days) each."""
    random = np.random.default_rng(seed)
    opened = 1000 * np.exp(np.cumsum(random.normal(0, 0.01, (rows, days)), axis=1))
    closed = opened * np.exp(random.normal(0, 0.01, (rows, days)))
    high = np.maximum(opened, closed) * np.exp(np.abs(random.normal(0, 0.005, (rows, days))))
    low = np.minimum(opened, closed) * np.exp(-np.abs(random.normal(0, 0.005, (rows, days))))
    given = {"open": opened, "high": high, "low": low, "close": closed}
    return {name: torch.from_numpy(values.astype(np.float32)) for name, values in given.items()}


def test_the_pinball_loss_is_least_at_the_quantile_and_half_the_absolute_error_at_the_median() -> None:
    values = torch.arange(1.0, 101.0)
    of = partial(pinball, targets=values, levels=(0.9,))

    losses = [of(torch.full((100, 1), float(guess))).item() for guess in range(1, 101)]

    assert np.argmin(losses) + 1 == 90
    median = pinball(torch.full((100, 1), 7.0), values, levels=(0.5,))
    torch.testing.assert_close(median, (values - 7).abs().mean() / 2)


def test_a_loss_in_ratios_and_one_in_each_rows_own_scale_do_not_depend_on_the_unit() -> None:
    quantiles, values = torch.rand(20, 2) + 1, torch.rand(20) + 1
    scale = torch.rand(20) + 1
    logs = partial(pinball_of_logs, levels=(0.1, 0.9))
    scaled = partial(scaled_pinball, levels=(0.1, 0.9))

    torch.testing.assert_close(logs(10 * quantiles, 10 * values), logs(quantiles, values))
    torch.testing.assert_close(
        scaled(10 * quantiles, torch.stack([10 * values, 10 * scale], dim=1)),
        scaled(quantiles, torch.stack([values, scale], dim=1)),
    )


def test_quantiles_never_cross_whatever_the_network_says() -> None:
    quantiles = ordered(10 * torch.randn(200, 5))

    assert (quantiles.diff(dim=1) >= 0).all()


def test_a_level_between_two_quantiles_is_on_the_line_between_them() -> None:
    quantiles = ordered(torch.randn(50, 5))
    wanted = torch.linspace(0.05, 0.99, 50).unsqueeze(1)

    found = at_level(quantiles, LEVELS, wanted)

    expected = [
        np.interp(level, LEVELS, row) for level, row in zip(wanted[:, 0].tolist(), quantiles.numpy(), strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_memory_that_is_given_back_goes_on_where_it_was() -> None:
    reader, steps = Recurrent(features=2, size=5), torch.randn(3, 10, 2)

    state = reader(steps[:, :6])

    torch.testing.assert_close(reader(steps[:, 6:], state), reader(steps))


def test_volatility_in_the_graph_is_that_of_the_data_set() -> None:
    given = prices(40)

    wanted = 100 * sp500.garman_klass(**{name: values.double().numpy() for name, values in given.items()})

    np.testing.assert_allclose(daily_volatility(**given).numpy(), wanted, rtol=2e-4)


def test_har_in_the_graph_is_the_regression_on_the_logs_of_the_three_means() -> None:
    daily, targets = torch.rand(200, 22) + 0.2, torch.rand(200) + 0.5
    means = np.log([[row[-days:].mean() for days in (1, 5, 22)] for row in daily.numpy()])

    expected, *_ = np.linalg.lstsq(np.c_[means, np.ones(200)], np.log(targets.numpy()), rcond=None)

    np.testing.assert_allclose(har_means(daily).numpy(), means, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(har_coefficients(daily, targets).numpy(), expected, rtol=1e-3, atol=1e-4)


def test_a_month_in_another_currency_has_the_same_volatility_and_a_price_that_stood_still_has_one() -> None:
    given = prices(60)
    network = VolatilityQuantiles(given, torch.rand(60) + 0.5, quantiles=3, size=4).eval()
    still = {name: torch.full((1, 22), 100.0) for name in given}

    quantiles = network(**given)

    torch.testing.assert_close(
        network(**{name: 7 * values for name, values in given.items()}), quantiles, rtol=1e-3, atol=1e-4
    )
    assert (quantiles.diff(dim=1) >= 0).all() and quantiles.shape == (60, 3)
    assert torch.isfinite(network(**still)).all()


def test_demand_has_no_negative_pieces_and_a_higher_service_level_never_orders_less() -> None:
    sales = torch.randint(0, 40, (30, 12)).float()
    sales[0] = 0
    week = torch.randint(1, 54, (30, 1)).float()
    network = DemandQuantiles({"sales": sales}, sales, levels=LEVELS, hidden=(8,), dropout=0.0).eval()

    def answered(level: float) -> Tensor:
        found: Tensor = network(sales, week, torch.full((30, 1), level))
        return found

    orders = torch.stack([answered(level)[:, -1] for level in (0.5, 0.6, 0.75, 0.9)], dim=1)
    assert (answered(0.9) >= 0).all() and (orders.diff(dim=1) >= 0).all()
    torch.testing.assert_close(answered(0.5)[:, -1], answered(0.5)[:, 2])
    torch.testing.assert_close(answered(0.9)[:, -1], answered(0.9)[:, 4])


def days(count: int) -> pd.DataFrame:
    """Trading days from 1999 on, whose closing price is the number of the day."""
    number = np.arange(1.0, count + 1)
    columns = {"open": number, "high": number + 0.5, "low": number - 0.5, "close": number}
    return pd.DataFrame(columns, index=pd.bdate_range("1999-01-04", periods=count, name="date"))


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setattr(sp500, "raw", lambda: days(5217))
    return sp500.load()


def test_no_window_of_prices_crosses_from_one_part_into_another(index: Dataset) -> None:
    dates = days(5217).index
    for part, (first, final) in sp500.YEARS.items():
        rows: Rows = getattr(index, part)
        closes = rows.inputs["close"].numpy().astype(int)
        assert dates[closes.min() - 1].year == first
        assert dates[closes.max() - 1 + sp500.AHEAD].year == final
        assert (np.diff(closes, axis=1) == 1).all()


def test_the_target_is_the_mean_of_the_five_days_after_the_window(index: Dataset) -> None:
    frame = days(5217)
    daily = 100 * sp500.garman_klass(*(frame[name].to_numpy() for name in ("open", "high", "low", "close")))
    last = int(index.test.inputs["close"][7, -1])

    assert index.test.targets[7].item() == pytest.approx(daily[last : last + 5].mean(), rel=1e-5)
    assert index.blocks is not None and len(index.blocks) == len(index.test)


def lines(*given: tuple[str, str, int, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(given, columns=["invoice", "article", "quantity", "time", "price"])
    return frame.assign(time=pd.to_datetime(frame["time"]))


def test_weekly_units_count_what_was_sold_and_leave_out_returns_repetitions_postage_and_closed_weeks() -> None:
    sold = lines(
        ("1", "10002", 5, "2009-12-07 09:00", 1.0),
        ("1", "10002", 5, "2009-12-07 09:00", 1.0),
        ("2", "10002", 2, "2009-12-13 16:00", 1.0),
        ("C3", "10002", -2, "2009-12-14 10:00", 1.0),
        ("4", "10002", 9, "2009-12-15 10:00", 0.0),
        ("5", "POST", 1, "2009-12-15 10:00", 3.0),
        ("6", "22000A", 4, "2009-12-28 10:00", 2.0),
        ("7", "22000A", 4, "2009-11-30 10:00", 2.0),
    )

    units = online_retail.weekly_units(sold)

    assert [str(week.date()) for week in units.columns] == ["2009-12-07", "2009-12-28"]
    assert units.loc["10002"].tolist() == [7, 0] and units.loc["22000A"].tolist() == [0, 4]


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Two articles that sell as many pieces as the week has a number, and one that stopped."""
    weeks = pd.date_range("2010-01-04", periods=60, freq="7D")
    steady = np.arange(1, 61)
    units = pd.DataFrame([steady, 2 * steady, np.where(steady > 30, 0, steady)], columns=weeks, index=["1", "2", "3"])
    monkeypatch.setattr(online_retail, "raw", lambda: None)
    monkeypatch.setattr(online_retail, "weekly_units", lambda _: units)
    return online_retail.load()


def test_weeks_are_foreseen_from_the_twelve_before_them_and_parts_follow_each_other(shop: Dataset) -> None:
    first, last = shop.validation.inputs["sales"][0], shop.test.inputs["sales"][-1]

    assert [len(shop.train), len(shop.validation), len(shop.test)] == [2 * 20, 2 * 12, 2 * 16]
    assert first.tolist() == list(range(21, 33)) and shop.validation.targets[0].tolist() == [
        33,
        pytest.approx(1, rel=0.1),
    ]
    assert shop.train.inputs["week"][0].item() == pd.Timestamp("2010-03-29").week
    assert last.max() <= 88, "capped at what the article sold before the test"


def test_orders_are_asked_for_at_every_service_level_among_the_test_rows_alone(shop: Dataset) -> None:
    assert shop.train.inputs["service_level"].unique().tolist() == pytest.approx([0.9])
    assert shop.test.inputs["service_level"][0].item() == pytest.approx(0.9)
    assert len(shop.test.inputs["service_level"].unique()) == len(shop.test)


def test_smoothing_of_equal_weeks_is_that_week_and_its_spread_has_the_networks_columns(shop: Dataset) -> None:
    same = Rows({"sales": torch.full((3, 12), 6.0), "service_level": torch.full((3, 1), 0.9)}, torch.zeros(3, 2))

    given = exponential_smoothing(shop.train, shop.validation, levels=LEVELS, share=0.2).predict(same)

    assert given.shape == (3, 6) and given[:, 2] == pytest.approx(6)
    np.testing.assert_allclose(given[:, -1], given[:, 4])


@pytest.mark.parametrize("rule", [last_week, ewma])
def test_equal_days_are_foreseen_as_they_were_by_every_rule(rule: Callable[[Rows], np.ndarray]) -> None:
    one_day = {name: values[:, :1].expand(-1, 22) for name, values in prices(4).items()}

    np.testing.assert_allclose(rule(Rows(one_day, torch.zeros(4))), daily_volatility(**one_day)[:, 0], rtol=1e-4)


def test_har_has_the_spread_of_its_own_errors() -> None:
    rows = Rows(prices(400), torch.rand(400) + 0.5)

    given = har(rows, rows, levels=(0.1, 0.5, 0.9)).predict(rows)

    assert (np.diff(given, axis=1) > 0).all()
    assert coverage_error(given, rows.targets.numpy(), levels=(0.1, 0.5, 0.9)) < 0.02
    assert r2_of_logs(given, rows.targets.numpy(), middle=1) >= 0
