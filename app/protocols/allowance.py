"""What the images and sounds of one request may come to; how they are read is `media`'s part."""

from dataclasses import dataclass

from app.errors import MediaTooLarge


@dataclass(frozen=True)
class MediaLimits:
    """What the media of one request may come to, all together.

    pixels:  of images, as sent or as the model takes them, whichever is more.
    samples: of sounds, frames x channels, likewise.
    """

    pixels: int
    samples: int


class Allowance:
    """What is left of a request's limits. Raises MediaTooLarge when more is taken."""

    def __init__(self, limits: MediaLimits) -> None:
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
