"""What a person says of a table's columns, in flags or in a small file; it overrules what was understood."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from app.feature import Record
from app.manifest import explain
from training.errors import UnreadableTable

Kind = Literal["number", "integer", "date", "category", "text"]
KINDS = ("number", "integer", "date", "category", "text")

NO_TIME = "none"
"""In the place of a column to split by: rows are split by chance."""


class Correction(Record):
    """Of one column; what is not said stays as it was understood.

    date_format:      how its dates are written, as in %d/%m/%Y.
    use:              false leaves it out; true keeps one that would be left out.
    minimum, maximum: what is accepted when it is served.
    """

    kind: Kind | None = None
    date_format: str = ""
    use: bool | None = None
    description: str = ""
    unit: str = ""
    minimum: float | date | None = None
    maximum: float | date | None = None


class Corrections(Record):
    """time: the column to split by, or `none`. title to licence: words for the model's card."""

    time: str | None = None
    title: str = ""
    description: str = ""
    intended_use: str = ""
    source: str = ""
    licence: str = ""
    columns: Mapping[str, Correction] = Field(default_factory=dict)

    def of(self, column: str) -> Correction:
        return self.columns.get(column, Correction())

    def with_flags(
        self, kinds: Sequence[str], dropped: Sequence[str], kept: Sequence[str], time: str | None
    ) -> "Corrections":
        """kinds: `column=kind`, of dates also `column=date:format`. Raises UnreadableTable for what is not so."""
        columns = {name: one.model_dump(exclude_unset=True) for name, one in self.columns.items()}
        for flag in kinds:
            name, _, wanted = flag.rpartition("=")
            kind, _, way = wanted.partition(":")
            if not name or kind not in KINDS:
                raise UnreadableTable(f"--kind {flag}: wanted column=kind, a kind being {', '.join(KINDS)}")
            columns.setdefault(name, {}).update({"kind": kind} | ({"date_format": way} if way else {}))
        for names, use in ((dropped, False), (kept, True)):
            for name in names:
                columns.setdefault(name, {})["use"] = use
        made = {name: Correction.model_validate(one) for name, one in columns.items()}
        return self.model_copy(update={"columns": made} | ({"time": time} if time else {}))


def read_file(path: Path) -> Corrections:
    """Raises UnreadableTable with what is wrong in it, OSError where it is not."""
    try:
        return Corrections.model_validate(yaml.safe_load(path.read_bytes()) or {})
    except yaml.YAMLError as error:
        raise UnreadableTable(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise UnreadableTable(f"{path}: {explain(error)}") from error
