"""`python -m app` under callgrind, fifty times as slow: what would run on the event loop does, and figures are put in
their series, and rows counted for drift, as seldom, for as many requests, as they would be.
"""

import sys

import app.main
from app.__main__ import main
from app.inference import pace

SLOWER = 50


if __name__ == "__main__":
    pace.INLINE_S *= SLOWER
    pace.STALL_S *= SLOWER
    app.main.FIGURES_INTERVAL_S *= SLOWER
    app.main.DRIFT_INTERVAL_S *= SLOWER
    sys.exit(main(sys.argv[1:]))
