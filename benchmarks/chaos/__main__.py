"""What the service promises, measured when things go wrong, as a table.

    python -m benchmarks.chaos --help

Every check starts services of its own, on real sockets. The table is printed and kept as .cache/bench/chaos.md.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tqdm import tqdm

from benchmarks.chaos.fuzz import fuzz
from benchmarks.chaos.memory import idle, loads, soak
from benchmarks.chaos.overload import overload
from benchmarks.chaos.row import Row
from benchmarks.chaos.stops import stops, versions, workers
from benchmarks.networks import CACHE

Check = Callable[[Path], list[Row]]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="WORD", help="only checks with this in their name")
    parser.add_argument("--quick", action="store_true", help="those that count, and time nothing, in a minute")
    parser.add_argument("--soak-minutes", type=float, default=10, metavar="N", help="after one of warm-up (10)")
    parser.add_argument("--requests", type=int, default=20_000, metavar="N", help="of the fuzz (20000)")
    return parser.parse_args()


def main() -> int:
    """Run the checks; 1 if a promise was not kept."""
    asked = arguments()
    timed: dict[str, Check] = {"stops": stops, "workers": workers, "versions": versions, "overload": overload}
    beside: dict[str, Check] = {
        "loads": loads,
        "idle": idle,
        "fuzz": partial(fuzz, requests=asked.requests),
        "soak": partial(soak, seconds=60 * asked.soak_minutes),
    }
    if asked.quick:
        timed = {"stops": partial(stops, times=1), "workers": workers, "versions": partial(versions, changes=3)}
        beside = {"loads": loads, "fuzz": partial(fuzz, requests=500)}
    timed, beside = ({name: one for name, one in some.items() if asked.only in name} for some in (timed, beside))
    rows: list[Row] = []
    with tqdm(total=len(timed) + len(beside), file=sys.stderr, disable=None) as progress, ThreadPoolExecutor() as pool:
        for name, check in timed.items():
            progress.set_description(name)
            rows += _rows(name, check)
            progress.update()
        progress.set_description(" and ".join(beside))  # those that time nothing share the cores
        running = [pool.submit(_rows, name, check) for name, check in beside.items()]
        for one in running:
            one.add_done_callback(lambda _: progress.update())
        for one in running:
            rows += one.result()
    lines = ["| promise | wanted | measured | kept |", "| --- | --- | --- | --- |"]
    lines += [f"| {r.promise} | {r.wanted} | {r.measured} | {'yes' if r.kept else 'NO'} |" for r in rows]
    table = "\n".join(lines) + "\n"
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "chaos.md").write_text(table)
    print(table)
    return 0 if all(row.kept for row in rows) else 1


def _rows(name: str, check: Check) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix=f"headrace-{name}-") as folder:
        return check(Path(folder))


if __name__ == "__main__":
    sys.exit(main())
