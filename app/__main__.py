"""The commands: `python -m app serve`, `check`, `key`, `score`, `replay` and `settings`."""

import argparse
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from app import workers
from app.keys import SCOPES, made, read_keys
from app.manifest import explain
from app.remote.address import check as check_address
from app.remote.address import is_remote
from app.remote.cache import opened
from app.remote.process import fetched
from app.settings import Settings, table

HELP = """usage: python -m app COMMAND [--help]

Headrace serves the trained networks of a model repository over HTTP.

  serve    answer predictions:        python -m app serve --models models --port 8000
  check    open every model and say whether and how it would be served, then end:
                                      python -m app check models, or an address such as s3://bucket/models
  key      make an API key for --keys-file: prints the key, once, and its entry:
                                      python -m app key NAME infer read
  score    a whole table or folder of files through a model, without a service:
                                      python -m app score NAME in.parquet out.parquet
  replay   run a request of the prediction log again, in its batch and alone:
                                      python -m app replay REQUEST-ID LOG-FOLDER [--models models]
  settings every setting of serve with its variable, flag and default

Every flag of serve is also an environment variable: --max-body-bytes is HEADRACE_MAX_BODY_BYTES. A flag wins."""


def main(arguments: list[str]) -> int:
    """Run one command; the process's exit status: 0 done, 1 failed, 2 called wrongly."""
    match arguments:
        case ["serve", *rest]:
            return _serve(rest)
        case ["check", *rest]:
            return _check(rest)
        case ["key", *rest]:
            return _key(rest)
        case ["score", *rest]:
            return _with_settings("score", _score, rest)
        case ["replay", *rest]:
            return _with_settings("replay", _replay, rest)
        case ["settings", *rest]:
            print(HELP if rest else table())
            return 0
        case [] | ["-h" | "--help"]:
            print(HELP)
            return 0
        case [unknown, *_]:
            print(f"unknown command {unknown!r}\n\n{HELP}", file=sys.stderr)
            return 2
    return 2


def _serve(arguments: list[str]) -> int:
    try:
        settings = CliApp.run(Settings, arguments)
    except (ValidationError, SettingsError) as error:
        print(f"serve: {explain(error) if isinstance(error, ValidationError) else error}", file=sys.stderr)
        return 2
    try:
        _check_models(settings)
        _read_files(settings)
    except (OSError, ValueError) as error:
        print(f"serve: {error}", file=sys.stderr)
        return 2
    try:
        return workers.serve(settings)
    except OSError as error:
        print(f"serve: cannot listen on {settings.host}:{settings.port}: {error.strerror}", file=sys.stderr)
        return 1


def _check_models(settings: Settings) -> None:
    """Raises OSError, ValueError unless there is a folder, or an address that can be read here."""
    if is_remote(settings.models):
        check_address(settings.models)
        opened(settings.mirror, settings.models)
    elif not Path(settings.models).is_dir():
        raise ValueError(f"no folder {settings.models}; --models names the model repository")


def _read_files(settings: Settings) -> None:
    """Those that every worker reads: what is wrong with them is told once. Raises OSError, ValueError."""
    if settings.keys_file:
        read_keys(settings.keys_file)
    if settings.tls_certificate:
        try:
            ssl.create_default_context().load_cert_chain(settings.tls_certificate, settings.tls_key)
        except ssl.SSLError as error:
            raise ValueError(
                f"{settings.tls_certificate}: no certificate with its private key: {error.reason}"
            ) from error
    elif settings.tls_key:
        raise ValueError("--tls-key without --tls-certificate")
    if settings.traced:
        from app import tracing  # as below: nothing is to be paid for it where there are none

        tracing.exporter()


def _key(arguments: list[str]) -> int:
    name, *scopes = arguments or [""]
    if name in ("", "-h", "--help") or not scopes or not set(scopes) <= set(SCOPES):
        print(f"usage: python -m app key NAME SCOPE...\n\nscopes: {', '.join(SCOPES)}", file=sys.stderr)
        return 0 if name in ("-h", "--help") else 2
    try:
        key, entry = made(name, [scope for scope in SCOPES if scope in scopes])
    except ValidationError as error:
        print(f"key: {explain(error)}", file=sys.stderr)
        return 2
    print(f"# the key, which is not kept anywhere: {key}\n{entry}", end="")
    return 0


def _with_settings(name: str, command: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Of a command that takes the models' folder from the variables, which may be wrong."""
    try:
        return command(arguments)
    except (ValidationError, SettingsError) as error:
        print(f"{name}: {explain(error) if isinstance(error, ValidationError) else error}", file=sys.stderr)
        return 2


def _score(arguments: list[str]) -> int:
    try:
        from app.score import command  # it opens a model, and needs what a service does without
    except ModuleNotFoundError as error:
        print(f"score: no {error.name} here; pip install 'headrace[score]'", file=sys.stderr)
        return 1
    return command.main(arguments)


def _replay(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m app replay", description="Run a request of the log again.")
    parser.add_argument("identity", metavar="ID", help="the X-Request-ID of its answer")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="that HEADRACE_PREDICTION_LOG named")
    parser.add_argument("--models", type=Path, default=Path(Settings().models), help="the model repository")
    asked = parser.parse_args(arguments)
    from app import replay  # as below

    return replay.run(asked.identity, asked.folder, asked.models)


def _check(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        print(HELP)
        return 0
    if len(arguments) != 1 or not (is_remote(arguments[0]) or Path(arguments[0]).is_dir()):
        print("usage: python -m app check FOLDER|ADDRESS", file=sys.stderr)
        return 2
    from app import check  # it opens models, which the supervisor of `serve` does not: so that has no onnxruntime

    if not is_remote(arguments[0]):
        return check.run(Path(arguments[0]), {})
    try:
        check_address(arguments[0])
        with fetched(arguments[0]) as (folder, not_taken):
            return check.run(folder, not_taken)
    except (OSError, ValueError) as error:
        print(f"check: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
