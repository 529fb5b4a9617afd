"""Measurements as Markdown tables: the medians of the rounds, and ratios to Headrace with their spread."""

from collections.abc import Callable, Sequence
from math import isnan
from operator import attrgetter
from statistics import median

from benchmarks import limits
from benchmarks.cases import Case
from benchmarks.measure import Measured
from benchmarks.servers import BARE, OURS, SERVERS

Figure = Callable[[Measured], float]

PEERS = {server.name for server in SERVERS if server.peer}


class Rounds:
    """The rounds of one server in one case that count."""

    def __init__(self, server: str, results: Sequence[Measured]) -> None:
        self.server = server
        self.by_round = {one.round: one for one in results if one.server == server and not one.problem}

    def median(self, figure: Figure) -> float:
        """Over the rounds."""
        return median(figure(one) for one in self.by_round.values())

    @property
    def rows_per_s(self) -> float:
        """The median."""
        return self.median(attrgetter("rows_per_s"))

    def ratios(self, other: "Rounds", figure: Figure = attrgetter("rows_per_s")) -> list[float]:
        """How many times a figure of the other's, in each round that both have."""
        both = self.by_round.keys() & other.by_round.keys()
        return [figure(self.by_round[r]) / figure(other.by_round[r]) for r in both]

    def ratio(self, other: "Rounds") -> str:
        """How many times the rows a second of the other."""
        return spread(self.ratios(other))

    def line(self, ours: "Rounds") -> str:
        """One row of a case's table."""
        latencies = [self.median(attrgetter(name)) for name in ("p50_ms", "p99_ms", "p999_ms")]
        p50, p99, p999 = ("-" if isnan(ms) else f"{ms:.2f}" for ms in latencies)
        processor, memory = self.median(attrgetter("processor_us")), self.median(attrgetter("memory_mib"))
        return (
            f"| {self.server} | {self.rows_per_s:,.0f} | {self.ratio(ours)} | {p50} | {p99} | {p999} "
            f"| {'-' if isnan(processor) else f'{processor:,.0f}'} | {'-' if isnan(memory) else f'{memory:,.0f}'} |"
        )


def spread(ratios: Sequence[float]) -> str:
    """Median, least to most."""
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "-"


def report(results: Sequence[Measured], cases: Sequence[Case]) -> str:
    """What was wanted and what was reached, each case in full, and what went wrong."""
    by_case = {case.name: rounds_of(case, results) for case in cases}
    lines = [
        "| case | Headrace, rows/s | best peer, rows/s | which | times the best peer | wanted | reached |",
        "| --- | ---: | ---: | --- | ---: | ---: | --- |",
        *(against_best(case, by_case[case.name]) for case in cases),
        "",
        "| case | beside a limit | measured | wanted | reached |",
        "| --- | --- | ---: | ---: | --- |",
        *(line for case in cases for line in against_limits(case, by_case[case.name])),
    ]
    for case in cases:
        lines += ["", *in_full(case, by_case[case.name])]
    lines += [
        "",
        *(f"WRONG {one.case}, {one.server}, round {one.round}: {one.problem}" for one in results if one.problem),
    ]
    return "\n".join(lines)


def rounds_of(case: Case, results: Sequence[Measured]) -> dict[str, Rounds]:
    """Server -> its rounds in this case, the fastest first."""
    of_case = [one for one in results if one.case == case.name]
    all_rounds = [Rounds(name, of_case) for name in dict.fromkeys(one.server for one in of_case)]
    counted = [rounds for rounds in all_rounds if rounds.by_round]
    return {rounds.server: rounds for rounds in sorted(counted, key=lambda rounds: -rounds.rows_per_s)}


def against_best(case: Case, rounds: dict[str, Rounds]) -> str:
    """One row of the first table."""
    ours, best = rounds.get(OURS.name), next((r for name, r in rounds.items() if name in PEERS), None)
    if not ours or not best:
        return f"| {case.name} | - | - | - | - | {case.wanted} | - |"
    ratios = ours.ratios(best)
    reached = "yes" if ratios and median(ratios) >= case.wanted else "no"
    return (
        f"| {case.name} | {ours.rows_per_s:,.0f} | {best.rows_per_s:,.0f} | {best.server} | {spread(ratios)} "
        f"| {case.wanted} | {reached} |"
    )


def against_limits(case: Case, rounds: dict[str, Rounds]) -> list[str]:
    """Rows of the second table."""
    lines = []
    ours = rounds.get(OURS.name)
    alone = next((r for name, r in rounds.items() if name.startswith(limits.NAME)), None)
    bare = rounds.get(BARE.name)
    if ours and alone and case.of_onnxruntime:
        share = ours.ratios(alone)
        lines.append(
            limit_line(
                case,
                f"rows/s, of {alone.server}",
                share,
                f"{case.of_onnxruntime}",
                case.of_onnxruntime <= median(share),
            )
        )
    if ours and bare and case.bare_p50s:
        times = ours.ratios(bare, attrgetter("p50_ms"))
        lines.append(
            limit_line(
                case,
                "p50, times that of bare uvicorn",
                times,
                f"at most {case.bare_p50s}",
                median(times) <= case.bare_p50s,
            )
        )
    return lines


def limit_line(case: Case, what: str, ratios: Sequence[float], wanted: str, reached: bool) -> str:
    """One of them."""
    return f"| {case.name} | {what} | {spread(ratios)} | {wanted} | {'yes' if reached else 'no'} |"


def in_full(case: Case, rounds: dict[str, Rounds]) -> list[str]:
    """The table of one case."""
    ours = rounds.get(OURS.name)
    head = [
        f"### {case.name}",
        "",
        "| server | rows/s | times Headrace | p50 ms | p99 ms | p99.9 ms | processor us a request | memory MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    return [*head, *(one.line(ours) for one in rounds.values())] if ours else head
