"""Headrace beside its peers and its limits, in a closed loop, each answer of a sample compared with onnxruntime's.

    python -m benchmarks.load --help

All servers that can serve a kind of traffic are started together and loaded one after the other, round by round, so
that a machine whose speed drifts drifts for all. Load generator and server share the machine's cores.
The table is printed and kept as .cache/bench/load.md, each run in load.json, a picture of them in load.png.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import groupby

from tqdm import tqdm

from benchmarks import limits
from benchmarks.cases import CASES, Case
from benchmarks.measure import Measured, limit, measure
from benchmarks.networks import CACHE
from benchmarks.plot import plot
from benchmarks.report import report
from benchmarks.servers import OURS, SERVERS, Running, Server, running

QUICK = ("Headrace", "bare uvicorn", "mosec, 2 workers", "mosec, batch 16")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="servers: " + "; ".join(s.name for s in SERVERS) + "\ncases: " + "; ".join(c.name for c in CASES),
    )
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}, two rounds of a second")
    parser.add_argument("--cases", default="", metavar="WORD", help="only cases with this in their name")
    parser.add_argument("--servers", nargs="*", default=[""], metavar="WORD", help="only servers with one of these")
    parser.add_argument("--rounds", type=int, help="that count; one more before them warms up (3, quick 2)")
    parser.add_argument("--seconds", type=int, help="of load in each round on each server (3, quick 1)")
    return parser.parse_args()


@contextmanager
def all_running(servers: Sequence[Server], case: Case) -> Iterator[list[Running]]:
    """Those of the servers that can serve a case and answer it right; the others are named on stderr."""
    started = []
    with ExitStack() as stack:
        for server in servers:
            if server.serves([case.traffic]):
                try:
                    started.append(stack.enter_context(running(server, [case.traffic])))
                except RuntimeError as error:
                    print(f"LEFT OUT: {error}", file=sys.stderr)
        yield started


def same_servers(case: Case) -> tuple[str, bool]:
    """Cases of which this is equal are measured on servers that are started once."""
    return case.traffic.model, case.traffic.binary


def run(
    cases: Sequence[Case], servers: Sequence[Server], rounds: int, seconds: int, *, ceiling: bool
) -> list[Measured]:
    """Everything measured but the first round, which warms up. ceiling: with onnxruntime alone beside it."""
    results = []
    for (model, _), group in groupby(cases, same_servers):
        together = [*group]
        with all_running(servers, together[0]) as ready:
            setting = limits.best(model) if ceiling else None
            turns = [(r, case, one) for r in range(rounds + 1) for case in together for one in ready]
            for number, case, one in tqdm(turns, desc=model, file=sys.stderr, disable=None):
                if setting and one is ready[0] and number:
                    results.append(limit(case, setting, number, seconds))
                measured = measure(case, one, number, seconds)
                if number or measured.problem:
                    results.append(measured)
    return results


def main() -> int:
    """Measure and print; 1 if a run did not count."""
    asked = arguments()
    servers = [s for s in SERVERS if any(word in s.name for word in asked.servers) or s is OURS]
    if asked.quick:
        servers = [s for s in servers if s.name in QUICK]
    cases = [c for c in CASES if asked.cases in c.name and (c.quick or not asked.quick)]
    rounds, seconds = asked.rounds or (2 if asked.quick else 3), asked.seconds or (1 if asked.quick else 3)
    results = run(cases, servers, rounds, seconds, ceiling=not asked.quick)
    (CACHE / "load.json").write_text(json.dumps([asdict(one) for one in results], indent=1))
    plot(results, CACHE / "load.png")
    text = report(results, cases)
    (CACHE / "load.md").write_text(text)
    print(text)
    return 1 if any(one.problem for one in results) else 0


if __name__ == "__main__":
    sys.exit(main())
