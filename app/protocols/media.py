"""Images and sounds to arrays: pure functions over Pillow, libsndfile and soxr, with a bound on what a file may become.

Imported when a caller sends the first file: most services never see one, and need not load three libraries for it.

A few bytes can claim to be gigabytes, so sizes are taken off the request's allowance by what the header says, before
anything is decoded. What a library raises over a hostile file is the caller's mistake, told without its words.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Lock
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app.errors import InvalidInput, ServingError
from app.feature import Feature
from app.protocols.allowance import Allowance

IMAGES: tuple[tuple[str, bytes, bytes, type[ImageFile]], ...] = (
    ("PNG image", b"\x89PNG\r\n\x1a\n", b"", PngImageFile),
    ("JPEG image", b"\xff\xd8\xff", b"", JpegImageFile),
    ("WebP image", b"RIFF", b"WEBP", WebPImageFile),
)
"""What it is, its first bytes, its bytes from the eighth on, Pillow's class of it. Image.open is passed by: it tries
formats that nobody asked for, and warns by size before the size can be asked."""

MOST_SCANS = 100
"""Of a JPEG; encoders write about ten. Each costs a pass over all pixels, however few its bytes."""

SOUNDS = {"WAV", "WAVEX", "FLAC", "OGG", "MP3"}

SAMPLE_RATES_HZ = (1_000, 768_000)
"""Of a file. Outside of these a resampler needs a filter of any length."""

UNKNOWN_LENGTH = 2**62
"""libsndfile's frames of a stream without a length are above."""

MP3_FRAME, MP3_FRAME_BYTES = 1152, 1441
"""Samples and bytes of one frame of an MP3, at most."""

FULL_SCALE = 1.0

_QUIET = Lock()
"""Held while Pillow's warnings are off, since that is a state of the whole process."""


def read_image(data: bytes, feature: Feature, allowance: Allowance) -> NDArray[np.float64]:
    """The pixels of a PNG, JPEG or WebP file as the feature takes them: in its shape, minimum for black, maximum for
    white.

    Turned as its EXIF orientation says; what is transparent lies on black; converted to grey (ITU-R 601-2 luma) or
    RGB; brought to the feature's size by an antialiased bilinear filter without regard to its proportions. Greys of
    16 bits keep them. Of several frames, the first. Colour profiles are not applied.

    Raises InvalidInput for a file that is none of these or is broken, MediaTooLarge.
    """
    height, width, channels = feature.image_size
    name, reader = _image_reader(data)
    with _reading(name):
        try:
            with _QUIET, warnings.catch_warnings(action="ignore"):
                image = reader(BytesIO(data))
        except Image.DecompressionBombError:
            allowance.take_pixels(2 * (Image.MAX_IMAGE_PIXELS or 0))
            raise
        # Pillow filters along the rows first: between the two passes the image is as wide as it gets and as high as
        # it was, whichever side its orientation makes its height.
        allowance.take_pixels(max(image.width * image.height, height * width, max(image.size) * width))
        image.load()
        with _QUIET, warnings.catch_warnings(action="ignore"):
            ImageOps.exif_transpose(image, in_place=True)
        pixels = _pixels(image, (width, height), channels).reshape(height, width, channels)
    assert feature.minimum is not None and feature.maximum is not None
    scaled = feature.minimum + pixels * (feature.maximum - feature.minimum) / 255
    ordered = scaled.transpose(2, 0, 1) if feature.layout == "CHW" else scaled
    return ordered.clip(feature.minimum, feature.maximum).reshape(feature.shape)


def _image_reader(data: bytes) -> tuple[str, type[ImageFile]]:
    for name, start, eighth, reader in IMAGES:
        if data.startswith(start) and data.startswith(eighth, 8):
            if reader is JpegImageFile and data.count(b"\xff\xda") > MOST_SCANS:
                raise InvalidInput(f"a JPEG image of more than {MOST_SCANS} scans")
            return name, reader
    raise InvalidInput("not a PNG, JPEG or WebP image")


def _pixels(image: Image.Image, size: tuple[int, int], channels: int) -> NDArray[np.float64]:
    """(height, width[, channels]), 0 to 255. size: width, height."""
    mode = "L" if channels == 1 else "RGB"
    if image.mode.startswith("I"):
        grey = _resized(Image.fromarray(np.asarray(image).astype(np.float32) / 257), size)
        return np.asarray(grey, np.float64)[..., np.newaxis].repeat(channels, axis=2)
    if image.has_transparency_data:
        layer = _resized(image.convert("RGBA"), size)
        flat = Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer).convert(mode)
    else:
        flat = _resized(image.convert(mode), size)
    return np.asarray(flat, np.float64)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def read_sound(data: bytes, feature: Feature, allowance: Allowance) -> NDArray[np.float32]:
    """The samples of a WAV, FLAC, OGG or MP3 file, (samples,): the mean of its channels, at the feature's rate, with
    silence behind.

    -1 to 1; what lossy coding or resampling lifts above full scale is cut there. Source of the resampler: soxr, HQ.

    Raises InvalidInput for a file that is none of these, is broken, is too long or goes beyond full scale;
    MediaTooLarge.
    """
    [samples], rate = feature.shape, feature.sample_rate
    assert rate is not None
    _check_sound_starts(data)
    source = BytesIO(data)
    with _reading("sound"), soundfile.SoundFile(source) as file:
        most = samples * file.samplerate // rate
        _check_header(file, most, samples / rate)
        allowance.take_samples(max(file.frames * file.channels, samples))
        frames = file.read(file.frames, dtype="float32", always_2d=True)
        _check_end(file, len(frames), data[source.tell() :], len(data))
        if file.subtype in ("FLOAT", "DOUBLE") and not np.abs(frames).max() <= FULL_SCALE:
            raise InvalidInput(f"a sound with samples up to {np.abs(frames).max():g}, wanted {feature.wanted}")
        mono = frames.mean(axis=1)
        if file.samplerate != rate:
            mono = soxr.resample(mono, file.samplerate, rate)
    sound = np.zeros(samples, np.float32)
    sound[: len(mono)] = mono[:samples].clip(-FULL_SCALE, FULL_SCALE)
    return sound


def _check_sound_starts(data: bytes) -> None:
    """Raises InvalidInput unless the file begins as one of SOUNDS, and a WAV is as long as it says.

    Pipes write 0 or all ones for a length that they do not know yet.
    """
    wav = data.startswith(b"RIFF") and data.startswith(b"WAVE", 8)
    if not (wav or _starts_as_mp3(data) or data.startswith((b"fLaC", b"OggS", b"ID3"))):
        raise InvalidInput("not a WAV, FLAC, OGG or MP3 sound")
    length = int.from_bytes(data[4:8], "little")
    if wav and length not in (0, 2**32 - 1) and length + 8 > len(data) + 1:  # a last byte of padding may be left out
        raise InvalidInput(f"a sound that breaks off: {len(data)} bytes, its header says {length + 8}")


def _check_header(file: Any, most: int, seconds: float) -> None:
    """most: frames that fit; seconds: the same as a time."""
    low, high = SAMPLE_RATES_HZ
    if file.format not in SOUNDS:
        raise InvalidInput("not a WAV, FLAC, OGG or MP3 sound")
    if not low <= file.samplerate <= high:
        raise InvalidInput(f"a sound of {file.samplerate} samples a second, wanted {low} to {high}")
    if file.frames >= UNKNOWN_LENGTH:
        raise InvalidInput("a sound whose header does not say how long it is")
    if not file.frames:
        raise InvalidInput("a sound without a sample")
    if file.frames > most:
        raise InvalidInput(f"{file.frames / file.samplerate:.6g} s, wanted at most {seconds:.6g} s")


def _check_end(file: Any, frames: int, rest: bytes, whole: int) -> None:
    """Raises InvalidInput where there was less, or is more, than the header said.

    rest: the bytes that were not read, of `whole` many.

    An MP3 need not have a header: libsndfile then guesses its frames from the first one's bit rate. That is right to a
    percent where the rate is constant, and cuts off a sound without a word where it is not.
    """
    mp3 = file.format == "MP3"
    if frames < file.frames - (max(2 * MP3_FRAME, file.frames // 50) if mp3 else 0):
        raise InvalidInput(f"a sound that breaks off: {frames} frames, its header says {file.frames}")
    if mp3 and _starts_as_mp3(rest) and len(rest) > max(2 * MP3_FRAME_BYTES, whole // 50):
        raise InvalidInput("an MP3 sound of varying bit rate without the header that says how long it is")


def _starts_as_mp3(data: bytes) -> bool:
    return data[:1] == b"\xff" and data[1:2] >= b"\xe0"


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Raises InvalidInput for whatever a library raises over a file: a dozen types, and no list of them is promised."""
    try:
        yield
    except (ServingError, MemoryError):
        raise
    except Exception as error:
        raise InvalidInput(f"a {what} that is broken or cut off") from error
