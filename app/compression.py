"""gzip and deflate, both ways, with a bound on what a small body may become."""

import gzip
import re
import zlib

from app.errors import BodyTooLarge, InvalidInput, UnsupportedMedia

SMALLEST_BYTES = 1024
"""Answers below this size go as they are: a packet holds them either way."""

LEVEL = 1
"""The fastest: numbers hardly shrink further."""

ENCODINGS = ("gzip", "x-gzip", "deflate")
"""Of request bodies; the second is an old name of the first, by RFC 9110, section 8.4.1.3."""

MOST_MEMBERS = 4096
"""Of one gzip body: block-wise writers make one of 64 KiB, and tiny ones would cost more than they bring."""


class Inflater:
    """Decompresses a body piece by piece. Raises UnsupportedMedia for an encoding that is not one of ENCODINGS.

    limit: of the decompressed size, in bytes.
    Source: RFC 1952, section 2.2: gzip data are one member after another.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        if encoding not in ENCODINGS:
            raise UnsupportedMedia(f"Content-Encoding {encoding}, wanted gzip, deflate or none")
        self._encoding, self._limit, self._size = encoding, limit, 0
        self._members, self._inflate = 1, _member()

    def feed(self, part: bytes) -> bytes:
        """The next bytes. Raises InvalidInput for damaged data, BodyTooLarge before the limit is passed."""
        inflated = []
        while part:
            if self._inflate.eof:
                self._next_member()
            try:
                inflated.append(self._inflate.decompress(part, self._limit - self._size + 1))
            except zlib.error as error:
                raise InvalidInput(f"the body is not {self._encoding}: {error}") from error
            self._size += len(inflated[-1])
            if self._size > self._limit:
                raise BodyTooLarge(f"the decompressed body has more, wanted at most {self._limit} bytes")
            part = self._inflate.unused_data
        return b"".join(inflated)

    def _next_member(self) -> None:
        if self._encoding == "deflate":
            raise InvalidInput("the body is not deflate: it goes on")
        if self._members == MOST_MEMBERS:
            raise InvalidInput(f"the body has more gzip members, wanted at most {MOST_MEMBERS}")
        self._members, self._inflate = self._members + 1, _member()

    def finish(self) -> None:
        """Raises InvalidInput if the data end too early."""
        if not self._inflate.eof:
            raise InvalidInput(f"the body is not {self._encoding}: it breaks off")


def _member() -> "zlib._Decompress":
    return zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32 reads the header of gzip or zlib, whichever comes


def deflate(body: bytes, accepted: str) -> tuple[bytes, str | None]:
    """The body in an encoding that the header Accept-Encoding takes, and its name; as it is where none pays.

    Source: RFC 9110, section 12.5.3; `deflate` is zlib's format.
    """
    encoding = chosen(accepted) if len(body) >= SMALLEST_BYTES else None
    if encoding is None:
        return body, None
    return (gzip.compress(body, LEVEL, mtime=0) if encoding == "gzip" else zlib.compress(body, LEVEL)), encoding


def chosen(accepted: str) -> str | None:
    """The encoding that weighs most, gzip if two do; None where sending the body as it is weighs more."""
    weights = {}
    for entry in accepted.lower().split(","):
        name, _, weight = entry.partition(";")
        found = re.fullmatch(r"\s*q\s*=\s*(0(?:\.\d*)?|1(?:\.0*)?)\s*", weight)
        weights[name.strip()] = float(found[1]) if found else 1.0
    others = weights.get("*", 0.0)
    best = max(("gzip", "deflate"), key=lambda name: weights.get(name, others))
    return best if weights.get(best, others) > weights.get("identity", 0.0) else None
