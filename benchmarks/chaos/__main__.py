"""What the service promises, measured when things go wrong, as a table.

    python -m benchmarks.chaos --help

Every check starts services of its own, on real sockets. The table is printed and kept as .cache/bench/chaos.md.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tqdm import tqdm

from benchmarks.chaos.fuzz import fuzz
from benchmarks.chaos.memory import idle, soak
from benchmarks.chaos.overload import overload
from benchmarks.chaos.row import Row
from benchmarks.chaos.stops import stops, versions, workers
from benchmarks.networks import CACHE


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="WORD", help="only checks with this in their name")
    parser.add_argument("--soak-minutes", type=float, default=5, metavar="N", help="after a minute of warm-up (5)")
    parser.add_argument("--requests", type=int, default=20_000, metavar="N", help="of the fuzz (20000)")
    return parser.parse_args()


def main() -> int:
    """Run the checks; 1 if a promise was not kept."""
    asked = arguments()
    checks: dict[str, Callable[[Path], list[Row]]] = {
        "stops": stops,
        "workers": workers,
        "versions": versions,
        "overload": overload,
        "idle": idle,
        "fuzz": partial(fuzz, requests=asked.requests),
        "soak": partial(soak, seconds=60 * asked.soak_minutes),
    }
    rows: list[Row] = []
    with tqdm([name for name in checks if asked.only in name], file=sys.stderr, disable=None) as progress:
        for name in progress:
            progress.set_description(name)
            with tempfile.TemporaryDirectory(prefix=f"headrace-{name}-") as folder:
                rows += checks[name](Path(folder))
    lines = ["| promise | wanted | measured | kept |", "| --- | --- | --- | --- |"]
    lines += [f"| {r.promise} | {r.wanted} | {r.measured} | {'yes' if r.kept else 'NO'} |" for r in rows]
    table = "\n".join(lines) + "\n"
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "chaos.md").write_text(table)
    print(table)
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
