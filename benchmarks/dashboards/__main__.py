"""Draw every dashboard from real data: a service under load, scraped by a real Prometheus, its panels' queries plotted.

    python -m benchmarks.dashboards [--seconds N]

Half-way callers begin to send other values than in training. The pictures are .cache/bench/dashboards/<name>.png, in
the layout of the files, not in Grafana's looks.
"""

import argparse
import tempfile
from pathlib import Path
from time import sleep, time

from benchmarks.dashboards.draw import draw
from benchmarks.dashboards.panels import dashboards
from benchmarks.dashboards.service import observed
from benchmarks.networks import CACHE


def main() -> None:
    """Load, ask, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=90, metavar="N", help="of load (90)")
    asked = parser.parse_args()
    folder = CACHE / "dashboards"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="headrace-dashboards-") as made,
        observed(Path(made), changes_s=asked.seconds / 2) as prometheus,
    ):
        sleep(asked.seconds)
        end = time()
        for name, panels in dashboards().items():
            place = folder / f"{name}.png"
            draw(panels, prometheus, end - asked.seconds, end, place)
            print(place)


if __name__ == "__main__":
    main()
