"""`python -m training`: list, published, new, table, fit, evaluate, export, folds, range, search, transfer, compress,
sync."""

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from training import compress, new, processes, run
from training import search as searches
from training.errors import TrainingFailed
from training.evaluate import check, evaluate
from training.published import table, write
from training.recipe import load, names
from training.report import Report, metrics_table
from training.tables import command as tables

if TYPE_CHECKING:
    from training.tracking import Tracker

EXAMPLES = """examples:
  python -m training list                       the recipes there are
  python -m training fit digits                 train, evaluate, export, verify, publish into models/
  python -m training fit digits --no-publish    the same, and only look: all of it is in runs/digits/<time>/
  python -m training export digits              publish that run after all
  python -m training sync models:/digits@best   what `fit --register best` has registered in MLflow
  python -m training fit digits --seed 7        how much does luck matter?
  python -m training fit digits --resume        go on with a fit that was killed, to the same weights
  torchrun --nproc-per-node 2 -m training fit digits    by two processes, each with half of every batch
  python -m training fit --all --resume         every recipe, from where the last time ended
  python -m training folds digits               how much do the rows matter? five-fold cross-validation
  python -m training range digits               which learning rates learn? one sweep over all of them
  python -m training search diabetes            which values are better? Optuna tries; call it again to go on
  python -m training transfer mnist             what is its pre-training worth, with few labels and with all?
  python -m training table data.csv --target churn --name churn    from a table to a model; no recipe needed
  python -m training new iris                   begin a recipe of your own

A recipe is one file in training/recipes/; `fit --help` says which to copy for a model of your own.
"""

SEARCH_MINUTES = 10

NEW_MODEL = """To add a model, begin with `new`, or copy a recipe and change its values:
training/recipes/breast_cancer.py for a classifier, training/recipes/diabetes.py for a regression. New data go into a
file of their own in training/datasets/."""


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0, 1 where a run came to nothing, 2 for a wrong command line."""
    options = parser().parse_args(arguments)
    if processes.started() and (options.command is not fit_recipe or options.all):
        return _fail("torchrun is for `fit` and one recipe; start this without it")
    try:
        status: int = options.command(options)
        return status
    except TrainingFailed as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was published")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m training",
        description="Trains PyTorch networks, measures them beside a simple baseline, and publishes them as ONNX.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _command(commands, "list", list_recipes, "name the recipes")
    published = _command(
        commands, "published", print_published, "the published models beside their baselines, as Markdown"
    )
    made = _command(commands, "table", make_table, "make a model of a CSV or Parquet file: train, verify, publish")
    tables.add_arguments(made)
    begun = _command(commands, "new", begin_recipe, "begin a recipe: a file that works, with its test, to be changed")
    begun.add_argument("recipe", help="its name: small letters, digits and hyphens")
    published.add_argument("--write", type=Path, metavar="FILE", help="put the table into this file, between its marks")
    fit = _command(commands, "fit", fit_recipe, "train a recipe, evaluate, export, verify and publish it")
    which = fit.add_mutually_exclusive_group(required=True)
    which.add_argument("recipe", nargs="?", help="a name that `list` gives")
    which.add_argument("--all", action="store_true", help="every recipe that is published, one behind the other")
    fit.epilog = NEW_MODEL
    for command in (fit, made):
        command.add_argument(
            "--seed", type=_seed, help="of weights, shuffling and augmentation (default: the recipe's)"
        )
    fit.add_argument("--resume", action="store_true", help="go on with the latest run, which was killed")
    folds = _command(commands, "folds", fold_recipe, "cross-validate a recipe and its baseline", recipe=True)
    folds.add_argument("--folds", type=_folds, default=5, metavar="N", help="default: 5")
    swept = _command(commands, "range", sweep_recipe, "find a learning rate by a sweep over all of them", recipe=True)
    what = "search for better values of a recipe's own choices; the next call goes on"
    tried = _command(commands, "search", search_recipe, what, recipe=True)
    tried.add_argument("--trials", type=_trials, metavar="N", help="to add (default: what the time allows)")
    tried.add_argument("--minutes", type=tables.minutes, help="to take (default: 10, without end if --trials is given)")
    for command in (folds, swept, tried):
        command.add_argument("--seed", type=_seed, help="of weights and shuffling (default: the recipe's)")
    what = "compare a recipe's pre-training with none, for few labels and for all"
    _command(commands, "transfer", compare_transfer, what, recipe=True)
    what = "make a saved run smaller: half precision, int8, pruning; what each costs and gives"
    smaller = _command(commands, "compress", compress_run, what, recipe=True)
    saved = _command(commands, "evaluate", evaluate_run, "measure a saved run on the held-out test split", recipe=True)
    export = _command(commands, "export", export_run, "export, verify and publish a saved run", recipe=True)
    for command in (saved, export, smaller):
        command.add_argument("--run", type=Path, metavar="DIR", help="the run's folder (default: the latest)")
    sync = _command(commands, "sync", sync_model, "bring a model that MLflow has registered into models/")
    sync.add_argument("address", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    for command in (fit, published, made, sync):
        command.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    for command in (fit, export, published, made, sync):
        command.add_argument("--models", type=Path, default=Path("models"), metavar="DIR", help="default: models")
    for command in (fit, export, made):
        command.add_argument("--no-publish", action="store_true", help="stop before models/ is touched")
        command.add_argument("--register", metavar="ALIAS", help="register in MLflow too, under this alias")
    return top


def print_published(options: argparse.Namespace) -> int:
    found = table(options.models, options.runs)
    if options.write:
        write(found, options.write)
    print(found)
    return 0


def make_table(options: argparse.Namespace) -> int:
    trained = tables.train(options)
    return _conclude(trained, options) if trained else 0


def begin_recipe(options: argparse.Namespace) -> int:
    for file in new.begin(options.recipe, Path.cwd()):
        print(f"written: {file}")
    print(f"Train it: python -m training fit {options.recipe}")
    return 0


def list_recipes(_: argparse.Namespace) -> int:
    width = max(map(len, names()))
    for name in names():
        recipe = load(name)
        print(f"{name:{width}}  {recipe.title}" + (" (never published)" if recipe.withheld else ""))
    return 0


def fit_recipe(options: argparse.Namespace) -> int:
    if options.all:
        return _fit_all(options)
    with processes.together() as all_of_us:
        if not all_of_us.is_first:
            run.assist(options.recipe, all_of_us)
            return 0
        if options.resume:
            trained = run.resume(options.recipe, options.runs, None, all_of_us)
        else:
            trained = run.fit(options.recipe, options.runs, options.seed, all_of_us)
    return _conclude(trained, options)


def _fit_all(options: argparse.Namespace) -> int:
    """One that comes to nothing does not stop the others."""
    wanted = [name for name in names() if not load(name).withheld]
    failed = []
    for place, name in enumerate(wanted, start=1):
        print(f"\n[{place} of {len(wanted)}] {name}\n", flush=True)
        try:
            trained = run.finish(name, options.runs) if options.resume else run.fit(name, options.runs, options.seed)
            status = _conclude(trained, options)
        except TrainingFailed as error:
            status = _fail(str(error))
        if status:
            failed.append(name)
    return _fail(f"came to nothing: {', '.join(failed)}") if failed else 0


def export_run(options: argparse.Namespace) -> int:
    return _conclude(run.reopen(options.recipe, options.runs, options.run), options)


def evaluate_run(options: argparse.Namespace) -> int:
    saved = run.reopen(options.recipe, options.runs, options.run)
    evaluation = evaluate(run.seen(saved), saved.recipe.measures)
    print(f"{metrics_table(evaluation.metrics)}\n\n{evaluation.verdict}\n{saved.folder}")
    check(evaluation.metrics, saved.recipe.accept)
    return 0


def fold_recipe(options: argparse.Namespace) -> int:
    print(run.cross_validate(options.recipe, options.runs, options.folds, options.seed).text(), end="")
    return 0


def sweep_recipe(options: argparse.Namespace) -> int:
    print(run.sweep_rates(options.recipe, options.runs, options.seed))
    return 0


def search_recipe(options: argparse.Namespace) -> int:
    minutes = options.minutes or (math.inf if options.trials else SEARCH_MINUTES)
    found = searches.search(
        options.recipe, options.runs, seconds=minutes * 60, trials=options.trials, seed=options.seed
    )
    print(f"{found.text()}\n\n{found.folder}")
    return _fail("interrupted; the same command goes on") if found.interrupted else 0


def compare_transfer(options: argparse.Namespace) -> int:
    print(run.compare_transfer(options.recipe, options.runs))
    return 0


def compress_run(options: argparse.Namespace) -> int:
    saved = run.reopen(options.recipe, options.runs, options.run)
    told = compress.table(run.compressed(saved), saved.recipe.measures[0])
    (saved.folder / "compressed.md").write_text(told + "\n")
    print(f"{told}\n\n{saved.folder}")
    return 0


def _conclude(trained: run.Run, options: argparse.Namespace) -> int:
    report: Report = run.conclude(trained, None if options.no_publish else options.models)
    print(report.text(), end="")
    if not report.failed or (trained.folder / "manifest.json").is_file():
        tracker = _tracker(options)
        number = tracker.keep(trained.folder, trained.trained.history, trained.seconds)
        if options.register and not report.failed:
            version = tracker.register(trained.name, number, options.register)
            print(
                f"\nRegistered as models:/{trained.name}/{version}, which is models:/{trained.name}@{options.register}."
            )
    return _fail(report.outcome) if report.failed else 0


def sync_model(options: argparse.Namespace) -> int:
    print(_tracker(options).fetch(options.address, options.models))
    return 0


def _tracker(options: argparse.Namespace) -> "Tracker":
    from training.tracking import Tracker  # MLflow takes a second, which most commands need not wait for

    return Tracker(options.runs)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    action: object,
    what: str,
    recipe: bool = False,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
    command.set_defaults(command=action)
    if recipe:
        command.add_argument("recipe", help="a name that `list` gives")
        command.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    return command


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 to {2**32 - 1}")
    return int(text)


def _trials(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(text)


def _folds(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 2 on")
    return int(text)


def _fail(message: str) -> int:
    print(f"training: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
