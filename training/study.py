"""A study: trials of values, one after another, each chosen by what those before it gave, the hopeless broken off.

Optuna chooses (TPE) and breaks off (the median rule). A trial is drawn by the seed and by how many ended before it, so
that a study which is killed goes on to the trials that an unbroken one has. The median is asked after 1, 2, 4, 8 ...
epochs: every answer is kept on disk, which takes as long as some epochs of a small network.
"""

import fcntl
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from training.errors import Diverged, StudyInUse
from training.fit import Epoch, History, Steps, Watch

FEWEST_TO_JUDGE = 5
"""Trials that came to their end, before one is broken off."""

FEWEST_TO_WEIGH = 10
"""Trials, before it is told which parameters matter."""

EPOCHS = "epochs"
"""The attribute of a trial that says how many it had."""

Fit = Callable[[optuna.Trial, Watch], History]
"""Draws values from a trial and fits what they make, watched."""


def begin(
    higher_is_better: bool, warm_up: int, storage: JournalStorage | None = None, name: str | None = None
) -> optuna.Study:
    """A study that is kept nowhere, or the one of this name. warm_up: epochs before a trial is broken off."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=storage,
        study_name=name,
        load_if_exists=True,
        direction="maximize" if higher_is_better else "minimize",
        pruner=optuna.pruners.MedianPruner(FEWEST_TO_JUDGE, warm_up, n_min_trials=FEWEST_TO_JUDGE),
    )


def warm_up(steps: Steps) -> int:
    """Epochs that a network is given before it is judged: as many as one may stand still, a quarter of all at most."""
    return min(steps.patience, steps.epochs // 4)


@contextmanager
def kept(file: Path, name: str, higher_is_better: bool, warm_up: int) -> Iterator[optuna.Study]:
    """The study of this name in an Optuna journal, new or as it was left; a trial that was under way then has failed.

    Raises StudyInUse while another process has the file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as journal:
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StudyInUse(f"another search has {file}; wait for its end") from error
        _mend(file)
        study = begin(higher_is_better, warm_up, JournalStorage(JournalFileBackend(str(file))), name)
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
        yield study


def _mend(journal: Path) -> None:
    """Who was killed while writing leaves half a line, and Optuna's lock."""
    whole_lines = journal.read_bytes().rfind(b"\n") + 1
    os.truncate(journal, whole_lines)
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)


def search(
    study: optuna.Study,
    fit: Fit,
    value: Callable[[Epoch], float],
    *,
    seconds: float,
    trials: int | None,
    seed: int,
) -> None:
    """Adds trials to a study.

    value:   of a trial: that of its best epoch.
    seconds: after which none is begun and none goes on, but for the study's first.
    trials:  at most, more than there are; None for any number.
    A trial without a number to show is one that was broken off. What fit raises besides ends the search.
    """
    with _Clock(study, seconds, trials) as clock, suppress(_TimeIsOver):
        while not clock.over():
            draw = np.random.SeedSequence([seed, len(ended(study))]).generate_state(1)
            study.sampler = optuna.samplers.TPESampler(seed=int(draw[0]))
            _try(study, fit, value, clock)
            clock.tell()


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that were fitted, to their end or until they were broken off as hopeless."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def whole(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that were fitted to their end, the best first."""
    found = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    worst_last = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    return sorted(found, key=lambda trial: worst_last * _value(trial))


def importances(study: optuna.Study) -> dict[str, float]:
    """Parameter -> its share in what sets the best tenth of the trials apart (PED-ANOVA), the largest first.

    Empty where the trials are too few to tell, or one has other parameters than the next.
    """
    values = {_value(trial) for trial in whole(study)}
    if len(ended(study)) < FEWEST_TO_WEIGH or len(values) < FEWEST_TO_JUDGE:
        return {}
    return optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())


def _value(trial: FrozenTrial) -> float:
    return math.nan if trial.value is None else trial.value


class _TimeIsOver(Exception):
    """A fit breaks off."""


def _try(study: optuna.Study, fit: Fit, value: Callable[[Epoch], float], clock: "_Clock") -> None:
    trial, epochs = study.ask(), 0

    def watch(history: History) -> None:
        nonlocal epochs
        epochs = len(history.epochs)
        if clock.over():
            raise _TimeIsOver
        if epochs.bit_count() == 1 and math.isfinite(reached := value(history.best)):
            trial.report(reached, epochs)
            if trial.should_prune():
                raise optuna.TrialPruned

    state, reached = TrialState.FAIL, math.nan
    try:
        reached = value(fit(trial, watch).best)
        state = TrialState.COMPLETE if math.isfinite(reached) else TrialState.PRUNED
    except (optuna.TrialPruned, Diverged):
        state = TrialState.PRUNED
    finally:
        trial.set_user_attr(EPOCHS, epochs)
        study.tell(trial, reached if state == TrialState.COMPLETE else None, state)


class _Clock:
    """What a search may take, as a bar where somebody watches."""

    def __init__(self, study: optuna.Study, seconds: float, trials: int | None) -> None:
        self._study, self._seconds, self._trials = study, seconds, trials or math.inf
        self._started, self._before = time.monotonic(), len(ended(study))
        self._ended = self._before
        form = "search {percentage:3.0f} %|{bar}| {elapsed}{postfix}"
        self._bar = tqdm(total=1.0, bar_format=form, disable=None)

    def __enter__(self) -> "_Clock":
        self.tell()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def tell(self) -> None:
        """A trial is over: how many there are, and the best of them."""
        self._ended, best = len(ended(self._study)), whole(self._study)[:1]
        told = f", best {best[0].value:.4g} by trial {best[0].number}" if best else ""
        self._bar.set_postfix_str(f"{self._ended} trials{told}")

    def over(self) -> bool:
        """Moves the bar; whether the time is over, or the trials are done."""
        done = (self._ended - self._before) / self._trials
        spent = max(done, (time.monotonic() - self._started) / self._seconds)
        self._bar.update(min(1.0, spent) - self._bar.n)
        return self._ended > 0 and spent >= 1
