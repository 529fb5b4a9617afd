"""Studies without a network: what is drawn, what is broken off, and what goes on after a kill."""

import math
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from training import study
from training.errors import Diverged, StudyInUse
from training.fit import Epoch, History, Watch
from training.study import Fit, begin, ended, importances, kept, search, whole

EPOCHS = 32


def reaching(value: Callable[[optuna.Trial], float]) -> Fit:
    """A fit that comes to a value evenly, in 32 epochs."""

    def fit(trial: optuna.Trial, watch: Watch) -> History:
        end, epochs = value(trial), list[Epoch]()
        for number in range(1, EPOCHS + 1):
            epochs.append(Epoch(0.0, 0.0, end * number / EPOCHS))
            watch(History(tuple(epochs), number))
        return History(tuple(epochs), EPOCHS)

    return fit


def parabola(trial: optuna.Trial) -> float:
    return 1 - float(trial.suggest_float("x", -1, 1)) ** 2 - 0.001 * float(trial.suggest_float("y", -1, 1))


def searched(
    one: optuna.Study,
    value: Callable[[optuna.Trial], float],
    trials: int | None,
    seconds: float = math.inf,
    seed: int = 1,
) -> optuna.Study:
    search(one, reaching(value), lambda epoch: epoch.score, seconds=seconds, trials=trials, seed=seed)
    return one


def drawn(one: optuna.Study) -> list[tuple[dict[str, float], float | None]]:
    return [(trial.params, trial.value) for trial in ended(one)]


def test_later_trials_are_better_than_those_that_were_drawn_blindly() -> None:
    found = searched(begin(higher_is_better=True, warm_up=EPOCHS), parabola, 40)

    values = [trial.value or 0.0 for trial in ended(found)]
    assert sum(values[-10:]) > sum(values[:10])
    assert whole(found)[0].value == max(values)
    assert importances(found)["x"] > importances(found)["y"]


def test_a_lower_value_is_better_where_it_is_asked_for() -> None:
    found = searched(begin(higher_is_better=False, warm_up=EPOCHS), parabola, 12)

    assert whole(found)[0].value == min(trial.value or 0.0 for trial in ended(found))


def test_a_hopeless_trial_is_broken_off_once_the_warm_up_is_over() -> None:
    values = iter([1.0, 1.1, 1.2, 1.3, 1.4, 0.1, 2.0])

    found = searched(begin(higher_is_better=True, warm_up=5), lambda _: next(values), 7)

    states = [(trial.state, trial.user_attrs[study.EPOCHS]) for trial in ended(found)]
    assert states == [(TrialState.COMPLETE, EPOCHS)] * 5 + [(TrialState.PRUNED, 8), (TrialState.COMPLETE, EPOCHS)]


def test_the_first_trial_is_fitted_however_short_the_time_is_and_no_other() -> None:
    found = searched(begin(higher_is_better=True, warm_up=1), parabola, None, seconds=1e-9)

    assert [trial.state for trial in found.trials] == [TrialState.COMPLETE]


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_a_trial_without_a_number_counts_as_broken_off_and_the_search_goes_on(lost: float) -> None:
    values = iter([1.0, lost, 2.0])

    found = searched(begin(higher_is_better=True, warm_up=1), lambda _: next(values), 3)

    assert [trial.state for trial in ended(found)] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE]


def test_a_fit_that_diverges_does_not_end_the_search() -> None:
    def diverges_at_first(trial: optuna.Trial) -> float:
        if trial.number == 0:
            raise Diverged("never a number")
        return 1.0

    found = searched(begin(higher_is_better=True, warm_up=1), diverges_at_first, 2)

    assert [trial.state for trial in found.trials] == [TrialState.PRUNED, TrialState.COMPLETE]


def test_a_study_that_broke_off_goes_on_to_the_trials_of_an_unbroken_one(tmp_path: Path) -> None:
    def breaks(trial: optuna.Trial) -> float:
        if trial.number == 11:
            raise KeyboardInterrupt
        return parabola(trial)

    unbroken = searched(begin(higher_is_better=True, warm_up=4), parabola, 14)
    with kept(tmp_path / "study.journal", "s", True, 4) as first, pytest.raises(KeyboardInterrupt):
        searched(first, breaks, 14)
    with (tmp_path / "study.journal").open("ab") as journal:
        journal.write(b'{"op_code":')
    (tmp_path / "study.journal.lock").symlink_to("study.journal")
    with kept(tmp_path / "study.journal", "s", True, 4) as second:
        assert len(ended(second)) == 11
        searched(second, parabola, 3)

        assert drawn(second) == drawn(unbroken)


def test_another_seed_draws_other_trials() -> None:
    first, other = (searched(begin(higher_is_better=True, warm_up=4), parabola, 3, seed=seed) for seed in (1, 2))

    assert not {str(one) for one in drawn(first)} & {str(one) for one in drawn(other)}


def test_a_study_is_used_by_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        kept(tmp_path / "study.journal", "s", True, 4),
        pytest.raises(StudyInUse, match=r"another search has .*study.journal"),
        kept(tmp_path / "study.journal", "s", True, 4),
    ):
        pass


def test_what_matters_is_not_told_by_few_trials_or_by_equal_ones() -> None:
    few = searched(begin(higher_is_better=True, warm_up=4), parabola, 3)
    equal = searched(begin(higher_is_better=True, warm_up=4), lambda trial: parabola(trial) * 0 + 1, 12)

    assert importances(few) == importances(equal) == {}
