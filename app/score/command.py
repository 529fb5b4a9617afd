"""`python -m app score`, as it is called."""

import argparse
import sys
from pathlib import Path

from app.errors import ServingError
from app.score.job import Job, run
from app.settings import Settings


def main(arguments: list[str]) -> int:
    """The exit status: 0 every row has an answer or the reason why it has none, 1 failed, 2 called wrongly."""
    asked = _parser().parse_args(arguments)
    job = Job(asked.models, asked.model, asked.given, asked.wanted, asked.probabilities)
    try:
        if asked.ray is None:
            return run(job)
        from app.score import cluster  # Ray is there for those who ask for it

        return run(job, cluster.on(asked.ray))
    except ModuleNotFoundError as error:
        print(f"score: no {error.name} here; pip install 'headrace[ray]'", file=sys.stderr)
        return 1
    except (OSError, ValueError, ServingError) as error:
        print(f"score: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"score: stopped; the same command goes on from what is in {job.partial}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app score",
        description="Score a whole table or a folder of files. The result has a row for each of the input's, in its "
        "order: the columns that are no features, the model's answers, and `error`, why a row has none. "
        "A run that was stopped goes on when the same command is given again.",
    )
    parser.add_argument("model", help="NAME for its newest version that is served, or NAME/VERSION")
    parser.add_argument(
        "given", metavar="IN", type=Path, help="a .parquet or .csv file; a folder of .parquet files, images or sounds"
    )
    parser.add_argument("wanted", metavar="OUT", type=Path, help="a .parquet or .csv file that is not there yet")
    parser.add_argument("--models", type=Path, default=Path(Settings().models), help="the model repository")
    parser.add_argument("--ray", metavar="ADDRESS", help="of a Ray cluster whose machines all see these files; `local`")
    parser.add_argument("--probabilities", action="store_true", help="of all labels, not only of the one answered")
    return parser
