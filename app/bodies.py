"""What comes in and goes out, for all routes: bodies read under their limit, large ones handled in threads."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from time import perf_counter
from typing import TypeVar

import orjson
from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from app.compression import Inflater, deflate
from app.errors import BodyTooLarge, CallerGone, UnsupportedMedia
from app.inference.signature import Tensors
from app.inference.timing import CURRENT

LARGE_BODY_BYTES = 64 * 1024
"""From this size on a body is decoded off the event loop: about a millisecond of JSON."""

LARGE_COMPRESSED_BYTES = 2048
"""From this size on a part of a compressed body is inflated off the event loop: it may become 1000 times as large."""

LARGEST_ITEM_BYTES = 8
"""Of all datatypes; numbers at a multiple of it can be read where they lie."""

Answer = TypeVar("Answer")


def too_large(size: str, limit: int) -> str:
    """What a caller is told of a body over the limit. size: `12 bytes`, or `more` where nobody knows."""
    return f"the body has {size}, wanted at most {limit} bytes"


async def read_body(request: Request) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as it outgrows the limit, whatever Content-Length said."""
    return b"".join(await _read_parts(request))


async def read_aligned_body(request: Request, offset: int) -> memoryview:
    """The whole body at such a place in memory that what follows its first `offset` bytes is read where it lies.

    Numbers at an odd address are copied once more before onnxruntime takes them. Raises as read_body.
    """
    return aligned(await _read_parts(request), offset)


def aligned(parts: Sequence[bytes], offset: int) -> memoryview:
    """The parts put together as read_aligned_body does."""
    padding = -offset % LARGEST_ITEM_BYTES
    return memoryview(b"".join([bytes(padding), *parts]))[padding:]


async def _read_parts(request: Request) -> list[bytes]:
    limit: int = request.app.state.max_body_bytes
    _check_content_type(request.headers.get("content-type", ""))
    encoding = request.headers.get("content-encoding", "").strip().lower() or "identity"
    inflater = Inflater(encoding, limit) if encoding != "identity" else None
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise BodyTooLarge(too_large("more", limit))
            parts.append(await _inflated(inflater, part) if inflater else part)
    except ClientDisconnect as error:
        raise CallerGone("the caller hung up before the end of the body") from error
    if inflater:
        inflater.finish()
    if timing := CURRENT.get(None):
        timing.read_at = perf_counter()
    return parts


async def _inflated(inflater: Inflater, part: bytes) -> bytes:
    """A small part may become a thousand times as much, so all but the smallest are inflated in a thread."""
    small = len(part) < LARGE_COMPRESSED_BYTES
    return inflater.feed(part) if small else await asyncio.to_thread(inflater.feed, part)


def _check_content_type(sent: str) -> None:
    """curl's -d says form data, so that passes too."""
    kind = sent.partition(";")[0].strip().lower()
    if kind not in ("", "application/json", "application/octet-stream", "application/x-www-form-urlencoded"):
        raise UnsupportedMedia(f"Content-Type {kind}, wanted application/json or application/octet-stream")


async def body_response(request: Request, body: bytes, headers: dict[str, str], media_type: str) -> Response:
    """An answer, compressed if the caller accepts that and it pays."""
    return await compressed_response(body, headers, media_type, request.headers.get("accept-encoding", ""))


async def compressed_response(body: bytes, headers: dict[str, str], media_type: str, accepted: str) -> Response:
    """As body_response. accepted: what Accept-Encoding says."""
    large = len(body) >= LARGE_BODY_BYTES
    body, encoding = await asyncio.to_thread(deflate, body, accepted) if large else deflate(body, accepted)
    if encoding:
        headers = {**headers, "content-encoding": encoding, "vary": "accept-encoding"}
    return Response(body, headers=headers, media_type=media_type)


async def decoded(body: bytes | memoryview, decode: Callable[[], Answer], *, slow: bool = False) -> Answer:
    """What decode makes of the body; a large one is decoded in a thread, so that the event loop turns on.

    slow: that may take long though the body is small, as with images.
    """
    return await asyncio.to_thread(decode) if slow or len(body) >= LARGE_BODY_BYTES else decode()


async def encoded(outputs: Tensors, encode: Callable[[], Answer]) -> Answer:
    """What encode makes of the outputs; large ones are encoded in a thread."""
    large = sum(tensor.nbytes for tensor in outputs.values()) >= LARGE_BODY_BYTES
    return await asyncio.to_thread(encode) if large else encode()


async def unless_gone(request: Request, work: Coroutine[None, None, Answer]) -> Answer:
    """The result of work, which is cancelled if the caller hangs up first. Raises CallerGone then."""
    answer = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise CallerGone("the caller hung up")
    finally:
        answer.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON body; numpy arrays are written as they stand."""
    return Response(dumped(content), status, headers, media_type="application/json")


def dumped(content: object) -> bytes:
    """content as JSON, numpy arrays as they stand."""
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
