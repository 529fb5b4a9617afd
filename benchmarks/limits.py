"""The ceiling under every server: onnxruntime in a loop in this process, at the batch and the threads that are best."""

import threading
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import onnxruntime

from benchmarks.networks import network
from benchmarks.traffic import sample

NAME = "onnxruntime in process"

BATCHES = (1, 8, 16, 32, 64, 128)
TRIAL_S = 0.3


@dataclass(frozen=True)
class Setting:
    """callers: threads that run the network at the same time, each run with so many threads of onnxruntime's own."""

    batch: int
    callers: int
    threads: int

    def __str__(self) -> str:
        return f"{NAME}, batch {self.batch}, {self.callers} x {self.threads} threads"


SETTINGS = [Setting(batch, callers, threads) for batch in BATCHES for callers, threads in ((1, 1), (1, 2), (2, 1))]


def best(model: str) -> Setting:
    """The fastest of all settings, each tried for a moment."""
    return max(SETTINGS, key=lambda setting: rows_per_s(model, setting, TRIAL_S))


def rows_per_s(model: str, setting: Setting, seconds: float) -> float:
    """What a loop of runs gives."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setting.threads
    session = onnxruntime.InferenceSession(network(model), options)
    [spec] = session.get_inputs()
    feed = {spec.name: sample(np.random.default_rng(0), (setting.batch, *spec.shape[1:]), spec.type)}
    session.run(None, feed)
    began, runs = perf_counter(), [0] * setting.callers
    until = began + seconds

    def loop(place: int) -> None:
        while perf_counter() < until:
            session.run(None, feed)
            runs[place] += 1

    callers = [threading.Thread(target=loop, args=(place,)) for place in range(setting.callers)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return sum(runs) * setting.batch / (perf_counter() - began)
