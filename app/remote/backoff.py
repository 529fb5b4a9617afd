"""How long to wait before something that has failed is tried again."""

import random

MOST_S = 300.0


def wait_s(failures: int) -> float:
    """Twice as long after each failure, from 1 s on, and not the same for all services. failures: before this one."""
    return float(min(2.0 ** min(failures, 16), MOST_S) * random.uniform(0.75, 1.25))  # noqa: S311
