"""`python -m app` under callgrind, fifty times as slow: what would run on the event loop does."""

import sys

from app.__main__ import main
from app.inference import pace

SLOWER = 50


if __name__ == "__main__":
    pace.INLINE_S *= SLOWER
    pace.STALL_S *= SLOWER
    sys.exit(main(sys.argv[1:]))
