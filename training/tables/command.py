"""`python -m training table`: from a file to a trained run; what is understood is shown before anything is fitted."""

import argparse
import re
from pathlib import Path

from training import recipe, run
from training.errors import UnreadableTable
from training.tables.corrections import KINDS, Corrections, read_file
from training.tables.make import make
from training.tables.read import read
from training.tables.understand import Understanding, understand

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

EXAMPLES = """examples:
  python -m training table data.csv --target churn --name churn
  python -m training table data.csv --target churn --dry-run                     only show what is understood
  python -m training table data.csv --target churn --write-columns churn.yaml    and write it, to be corrected
  python -m training table data.csv --target churn --columns churn.yaml --minutes 10
  python -m training table data.csv --target churn --kind plan=category --drop remark --time signed_up
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.epilog, command.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    command.add_argument("file", type=Path, help="a .csv or .parquet file with a line of names")
    command.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    command.add_argument("--name", help="of the model (default: the file's)")
    command.add_argument("--minutes", type=minutes, default=2.0, help="that the search may take (default: 2)")
    command.add_argument("--trials", type=int, metavar="N", help="networks to try at most (default: what time allows)")
    command.add_argument("--columns", type=Path, metavar="FILE", help="corrections, as --write-columns writes them")
    told = f"COLUMN is {', '.join(KINDS)}; of a date also its format, as in when=date:%%d/%%m/%%Y"
    command.add_argument("--kind", action="append", default=[], metavar="COLUMN=KIND", help=told)
    command.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="leave it out")
    command.add_argument("--keep", action="append", default=[], metavar="COLUMN", help="use it all the same")
    command.add_argument("--time", metavar="COLUMN", help="split by it, the latest rows for the test; none: by chance")
    command.add_argument("--dry-run", action="store_true", help="show what is understood and stop")
    command.add_argument("--write-columns", type=Path, metavar="FILE", help="the same, and write it to a file")


def understood(options: argparse.Namespace) -> Understanding:
    """Raises UnreadableTable or UnfitTable with what is wrong and what would be right."""
    said = read_file(options.columns) if options.columns else Corrections()
    said = said.with_flags(options.kind, options.drop, options.keep, options.time)
    return understand(options.file.name, read(options.file), options.target, said)


def train(options: argparse.Namespace) -> run.Run | None:
    """A trained run; None where only what is understood was asked for."""
    name = _name(options.name or options.file.stem)
    found = understood(options)
    print(found.text(), flush=True)
    if options.write_columns:
        options.write_columns.write_text(found.as_file())
        print(f"\nwritten to {options.write_columns}; --columns {options.write_columns} takes it, corrected")
    if options.dry_run or options.write_columns:
        return None
    seed = 42 if options.seed is None else options.seed
    print(f"\nfits the baselines, then searches for {options.minutes:g} minutes at most ...", flush=True)
    made = make(found, seconds=options.minutes * 60, trials=options.trials, seed=seed)
    trained = run.fit_made(name, made.recipe, options.runs, seed)
    made.save(trained.folder)
    return trained


def _name(name: str) -> str:
    """Raises UnreadableTable for one that no model can have."""
    if not NAME.fullmatch(name):
        better = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
        raise UnreadableTable(f"a model cannot be called {name!r}, wanted letters, digits and . _ -: --name {better}")
    if name in recipe.names():
        raise UnreadableTable(f"there is a recipe {name!r} already; give the table's model another --name")
    return name


def minutes(text: str) -> float:
    """Of an argument."""
    given = float(text)
    if not 0 < given < 1e4:
        raise argparse.ArgumentTypeError(f"{text} is no time in minutes")
    return given
