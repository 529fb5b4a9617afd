"""Images and sounds as the bytes of files, for tests."""

import struct
import zlib
from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image


def b64(data: bytes) -> dict[str, str]:
    return {"b64": b64encode(data).decode()}


def picture(pixels: Any, kind: str = "PNG", **options: Any) -> bytes:
    """A file of the pixels: (height, width) grey, (height, width, 3 or 4) in colours; uint8 or uint16."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels))
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def sound(samples: Any, rate: int, kind: str = "WAV", subtype: str = "FLOAT") -> bytes:
    file = BytesIO()
    soundfile.write(file, np.asarray(samples), rate, format=kind, subtype=subtype)
    return file.getvalue()


def sine(hertz: float, rate: int, seconds: float = 1) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has so many pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (chunk, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def lasting(frames: int, rate: int = 16_000) -> bytes:
    """A FLAC of a few bytes that says it has so many frames."""
    file = bytearray(sound(np.zeros(5000, np.float32), rate, "FLAC", "PCM_16"))
    file[21] = file[21] & 0xF0 | frames >> 32
    file[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
    return bytes(file)
