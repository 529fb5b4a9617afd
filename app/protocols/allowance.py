"""What the body of one request may come to; how images and sounds are read is `media`'s part."""

from dataclasses import dataclass

from app.errors import MediaTooLarge


@dataclass(frozen=True)
class BodyLimits:
    """What one request may ask for.

    pixels:   of all images together, as sent or as the model takes them, whichever is more.
    samples:  of all sounds together, frames x channels, likewise.
    depth:    of lists and objects in each other.
    inputs:   tensors of a V2 request.
    elements: of one tensor.
    """

    pixels: int = 2**24
    samples: int = 2**24
    depth: int = 64
    inputs: int = 1024
    elements: int = 2**26


USUAL = BodyLimits()


class Allowance:
    """What is left of a request's limits. Raises MediaTooLarge when more is taken."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits, self._pixels, self._samples = limits, limits.pixels, limits.samples

    def take_pixels(self, count: int) -> None:
        self._pixels -= count
        if self._pixels < 0:
            raise MediaTooLarge(f"the images come to more than {self._limits.pixels} pixels, all of a request together")

    def take_samples(self, count: int) -> None:
        self._samples -= count
        if self._samples < 0:
            raise MediaTooLarge(
                f"the sounds come to more than {self._limits.samples} samples, all of a request together"
            )
