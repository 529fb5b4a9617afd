"""gzip and deflate, both ways, with a bound on what a small body may become."""

import gzip
import re
import zlib

from app.errors import BodyTooLarge, InvalidInput, UnsupportedMedia

SMALLEST_BYTES = 1024
"""Answers below this size go as they are: a packet holds them either way."""

LEVEL = 1
"""The fastest: numbers hardly shrink further."""


class Inflater:
    """Decompresses a body piece by piece. Raises UnsupportedMedia for an encoding that is neither.

    limit: of the decompressed size, in bytes.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        if encoding not in ("gzip", "deflate"):
            raise UnsupportedMedia(f"Content-Encoding {encoding}, wanted gzip, deflate or none")
        self._encoding, self._limit, self._size = encoding, limit, 0
        # 32 reads the header of gzip or zlib, whichever comes.
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def feed(self, part: bytes) -> bytes:
        """The next bytes. Raises InvalidInput for damaged data, BodyTooLarge before the limit is passed."""
        try:
            inflated = self._inflate.decompress(part, self._limit - self._size + 1)
        except zlib.error as error:
            raise InvalidInput(f"the body is not {self._encoding}: {error}") from error
        self._size += len(inflated)
        if self._size > self._limit:
            raise BodyTooLarge(f"the decompressed body has more, wanted at most {self._limit} bytes")
        return inflated

    def finish(self) -> None:
        """Raises InvalidInput if the data end too early, or go on behind their end."""
        if not self._inflate.eof or self._inflate.unused_data:
            raise InvalidInput(
                f"the body is not {self._encoding}: it {'goes on' if self._inflate.eof else 'breaks off'}"
            )


def deflate(body: bytes, accepted: str) -> tuple[bytes, str | None]:
    """The body in an encoding that the header Accept-Encoding takes, and its name; as it is where none pays.

    Source: RFC 9110, section 12.5.3; `deflate` is zlib's format.
    """
    encoding = chosen(accepted) if len(body) >= SMALLEST_BYTES else None
    if encoding is None:
        return body, None
    return (gzip.compress(body, LEVEL, mtime=0) if encoding == "gzip" else zlib.compress(body, LEVEL)), encoding


def chosen(accepted: str) -> str | None:
    """The encoding that a header Accept-Encoding leads to, None for none."""
    weights = {}
    for entry in accepted.lower().split(","):
        name, _, weight = entry.partition(";")
        refused = re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight)
        weights[name.strip()] = not refused
    return next((name for name in ("gzip", "deflate") if weights.get(name, weights.get("*", False))), None)
