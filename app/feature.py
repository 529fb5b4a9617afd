"""One named input of a model as a caller sends it: its kind, its range, and what stands for a missing value."""

import re
from datetime import date
from functools import cached_property
from math import inf, isfinite
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_TOLD = 12
"""Categories that are named where one is wanted; of more, the first few and how many there are."""

ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DAY_0 = date(1970, 1, 1).toordinal()
FIRST_DAY, LAST_DAY = date.min.toordinal() - DAY_0, date.max.toordinal() - DAY_0
"""Of the calendar, from year 1 to year 9999."""


def days_of(text: str) -> int | None:
    """Days from 1970-01-01 to a date such as 2024-02-29; None for anything else."""
    try:
        return date.fromisoformat(text).toordinal() - DAY_0 if ISO_DATE.fullmatch(text) else None
    except ValueError:
        return None


def date_of(days: float) -> str:
    """The date so many days after 1970-01-01. Raises ValueError beyond the calendar."""
    return date.fromordinal(int(days) + DAY_0).isoformat()


class Record(BaseModel):
    """Immutable, and an unknown key is an error that names the known ones."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, values: Any) -> Any:
        unknown = [str(key) for key in values if key not in cls.model_fields] if isinstance(values, dict) else []
        if unknown:
            raise ValueError(f"unknown key {', '.join(unknown)}; wanted some of {', '.join(cls.model_fields)}")
        return values


class Feature(Record):
    """One named input of the model, as a caller sends it.

    kind:    a category is sent by its name; into a tensor of numbers it goes as its place in `categories`, from 0.
             A date is sent as 2024-02-29; it goes in as the days since 1970-01-01.
             An image is sent as {"b64": PNG, JPEG or WebP} and brought to the feature's size and colours, a sound as
             {"b64": WAV, FLAC, OGG or MP3}, made mono, resampled and padded with silence; both also as numbers.
    shape:   of one instance's value: [] for a single number, [8, 8] for a small image, [16000] for a sound.
    layout:  of an image: the order of height, width and channels in `shape`; HW is grey, 3 channels are RGB.
    sample_rate: of a sound, in Hz.
    minimum, maximum: the range that is accepted, in `unit`; None leaves that side open. Of an image: what black and
             white become. A sound goes from -1 to 1. Of a date, in days as in its tensor.
    missing: what an absent or null value becomes: nothing, it is refused; NaN; or `fill`. The value of a feature with
             a shape has to be there, its elements may be null: else a few bytes would ask for any amount of memory.
             A list of categories with a `fill` may also be shorter than its shape, as one whose last elements are null.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    description: str = ""
    kind: Literal["number", "integer", "date", "category", "text", "image", "audio"] = "number"
    unit: str = ""
    shape: tuple[Annotated[int, Field(ge=1)], ...] = ()
    layout: Literal["HW", "CHW", "HWC"] | None = None
    sample_rate: Annotated[int, Field(ge=1)] | None = None
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    missing: Literal["refuse", "nan", "fill"] = "refuse"
    fill: float | str | None = None
    example: Any

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        problems = [*self._range_problems(), *self._media_problems(), *self._missing_problems()]
        if problems:
            raise ValueError("; ".join(f"{self.name}: {problem}" for problem in problems))
        return self

    def _range_problems(self) -> list[str]:
        problems = []
        if self.kind == "category" and len(set(self.categories)) != max(1, len(self.categories)):
            problems.append("a category needs categories, each once")
        if None not in (self.minimum, self.maximum) and self.minimum > self.maximum:  # type: ignore[operator]
            problems.append(f"minimum {self.minimum} is above maximum {self.maximum}")
        bounds = [bound for bound in (self.minimum, self.maximum) if bound is not None]
        if self.kind == "date" and not all(_is_day(bound) for bound in bounds):
            problems.append(f"a date's minimum and maximum are whole days since 1970-01-01, {FIRST_DAY} to {LAST_DAY}")
        return problems

    def _media_problems(self) -> list[str]:
        if (self.layout is not None) != (self.kind == "image"):
            return ["an image has a layout, HW, CHW or HWC, and nothing else has"]
        if (self.sample_rate is not None) != (self.kind == "audio"):
            return ["a sound has a sample_rate, in Hz, and nothing else has"]
        if self.kind == "audio" and (len(self.shape) != 1 or (self.minimum, self.maximum) != (None, None)):
            return ["a sound has shape [samples] and goes from -1 to 1, so it takes no minimum and no maximum"]
        if self.layout is not None:
            if len(self.shape) != len(self.layout) or self.image_size[2] not in (1, 3):
                return [f"shape {list(self.shape)} is not {self.layout} with 1 or 3 channels"]
            if self.minimum is None or self.maximum is None:
                return ["an image has a minimum, which black becomes, and a maximum, which white becomes"]
        return []

    def _missing_problems(self) -> list[str]:
        if (self.fill is not None) != (self.missing == "fill"):
            return ["`fill` is what missing: fill puts in, so it takes both or neither"]
        if self.missing == "nan" and self.kind not in ("number", "integer", "date"):
            return [f"missing: nan is for numbers and dates, this is {self.kind}"]
        if self.missing == "fill" and not self._fill_fits():
            return [f"fill {self.fill!r}, wanted {self.wanted}"]
        return []

    def _fill_fits(self) -> bool:
        if self.kind in ("category", "text"):
            return isinstance(self.fill, str) and (self.kind == "text" or self.fill in self.categories)
        value = days_of(str(self.fill)) if self.kind == "date" else self.fill
        if value is None or isinstance(value, str) or self.kind not in ("number", "integer", "date"):
            return False
        low = -inf if self.minimum is None else self.minimum
        high = inf if self.maximum is None else self.maximum
        return isfinite(value) and low <= value <= high and (self.kind == "number" or float(value).is_integer())

    @property
    def image_size(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        sizes = {"C": 1} | dict(zip(self.layout or "", self.shape, strict=True))
        return sizes["H"], sizes["W"], sizes["C"]

    @cached_property
    def places(self) -> dict[str, int]:
        """Category -> its place in `categories`."""
        return {name: place for place, name in enumerate(self.categories)}

    @property
    def may_be_shorter(self) -> bool:
        """Whether a list that ends early is filled up."""
        return self.kind == "category" and self.missing == "fill" and len(self.shape) == 1

    @property
    def wanted(self) -> str:
        """What a value of this feature, or an element of it, must be, in words: `0 to 50 mm`."""
        if self.kind == "category":
            more = f" and {len(self.categories) - MOST_TOLD} more" if len(self.categories) > MOST_TOLD else ""
            return "one of " + ", ".join(self.categories[:MOST_TOLD]) + more
        if self.kind == "text":
            return "a text"
        if self.kind == "audio":
            return "-1 to 1"
        if self.kind == "date":
            return f"a date, {span}" if (span := self._span()) else "a date such as 2024-02-29"
        noun, span = "an integer" if self.kind == "integer" else "a finite number", self._span()
        return noun if not span else f"{noun}, {span}" if self.kind == "integer" else span

    @property
    def wanted_whole(self) -> str:
        """What the whole value must be, which with a shape is more than one element."""
        if not self.shape:
            return self.wanted
        size = " x ".join(map(str, self.shape))
        if self.kind == "image":
            return f'{{"b64": a PNG, JPEG or WebP image}} or {size} numbers, {self.wanted}'
        if self.kind == "audio":
            return f'{{"b64": a WAV, FLAC, OGG or MP3 sound}} or up to {size} numbers, {self.wanted}'
        return f"a list of {'1 to ' if self.may_be_shorter else ''}{size}, each {self.wanted}"

    def shown(self, value: float) -> str:
        """A number of the feature's tensor in a sentence."""
        return date_of(value) if self.kind == "date" and _is_day(value) else f"{value:g}"

    def _span(self) -> str:
        """`0 to 50 mm`, `0 mm or more`, `50 mm or less`, or nothing without a bound."""
        unit = f" {self.unit}" if self.unit else ""
        low, high = (None if bound is None else self.shown(bound) for bound in (self.minimum, self.maximum))
        if low is not None and high is not None:
            return f"{low} to {high}{unit}"
        return f"{low}{unit} or more" if low is not None else f"{high}{unit} or less" if high is not None else ""


def _is_day(value: float) -> bool:
    return FIRST_DAY <= value <= LAST_DAY and float(value).is_integer()
