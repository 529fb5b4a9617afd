"""HTTP off the wire: uvicorn's parser under bounds, its refusals in the one shape that all errors have.

A connection has no timer of its own: the server looks at all of them once a second (`HttpProtocol.sweep`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

RESTING_S = 2.0
"""When the service stops, a connection that rests may still bring a request that was on its way, or that a caller on a
busy machine is about to send: after 0.1 s, 11 of 32 were cut off in the middle of that, and after 0.5 s still some once
in a hundred stops, beside all that two cores could do."""

LINGER_S = 2.0
"""Who was refused in the middle of sending reads why only if it is not cut off: what it still sends is thrown away."""


@dataclass(frozen=True)
class WireLimits:
    """Of one connection, but for the first.

    connections: at one time.
    url_bytes, head_bytes: of a request's target, and of its request line and headers together.
    head_s, body_s: for a request to arrive, from its first byte: its head, and all of it.
    answer_s:    for a caller to take more of its answer.
    rest_s:      between an answer and the next request.
    """

    connections: int
    url_bytes: int
    head_bytes: int
    head_s: float
    body_s: float
    answer_s: float
    rest_s: float

    def told(self, status: int) -> str:
        """What a refused caller is told."""
        match status:
            case 408:
                return f"the request came too slowly: its head may take {self.head_s:g} s, all of it {self.body_s:g} s"
            case 414:
                return f"the request's target is too long, wanted at most {self.url_bytes} bytes"
            case 429:
                return f"too many connections, at most {self.connections} may be open"
            case 431:
                return f"the request's head is too long, wanted at most {self.head_bytes} bytes"
        return "this is not HTTP/1.1, or a line or a header of it is malformed or too long"


class _Refused(Exception):
    """Ends the parsing."""


class HttpProtocol(HttpToolsProtocol):
    """One connection. What it refuses never becomes a request, so no other layer can answer it.

    refused: counts a refusal, by its status.
    """

    def __init__(self, *arguments: Any, limits: WireLimits, refused: Callable[[int], None], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits, self._count_refused = limits, refused
        self._status = 400  # of what the parser does not take
        self._began = self._rests_since = self._unread_since = self._gone_at = 0.0
        self._head_whole = True
        self._head_bytes = self._fed_bytes = 0
        self._deaf = False
        self.ends = False

    def connection_made(self, transport: Any) -> None:
        """A caller has come."""
        super().connection_made(transport)
        self._rests_since = self.loop.time()
        if len(self.connections) > self._limits.connections:
            self._refuse(429)

    def data_received(self, data: bytes) -> None:
        """Bytes off the wire."""
        if self._deaf:
            return
        if not self._head_whole:
            self._fed_bytes += len(data)
            if self._fed_bytes > self._limits.head_bytes:
                self._refuse(431)
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._begin_message()
        super().on_message_begin()

    def _begin_message(self) -> None:
        self._began, self._head_whole = self.loop.time(), False
        self._head_bytes = self._fed_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        super().on_url(url)
        if len(self.url) > self._limits.url_bytes:
            self._status = 414
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line."""
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value) + len(b": \r\n")
        if self._head_bytes + len(self.url) > self._limits.head_bytes:
            self._status = 431
            raise _Refused

    def on_headers_complete(self) -> None:
        """Begins a request."""
        self._head_whole = True
        super().on_headers_complete()
        if self.ends and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._began = 0.0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """What waits behind the request begins, or the connection rests."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if self.flow.read_paused:
            self.flow.resume_reading()
        self._rests_since = self.loop.time()

    def pause_writing(self) -> None:
        """The caller does not take its answer as fast as it comes."""
        self._unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._unread_since = 0.0
        super().resume_writing()

    def sweep(self, now: float) -> None:
        """End what takes too long. now: of the event loop's clock."""
        limits = self._limits
        if (self._deaf and self._rests()) or self.transport.is_closing():
            self._gone_at = self._gone_at or now + limits.answer_s
            if now > self._gone_at:
                self.transport.abort()
        elif self._unread_since and now - self._unread_since > limits.answer_s:
            self.transport.abort()
        elif self._began and not self.flow.read_paused:
            if now - self._began > (limits.body_s if self._head_whole else limits.head_s):
                self._refuse(408)
        elif self._rests() and now - self._rests_since > limits.rest_s:
            self._close_resting()

    def _rests(self) -> bool:
        """No request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def _refuse(self, status: int) -> None:
        """Answer so, if an answer can still be given, and end the connection."""
        self._count_refused(status)
        self._deaf, now = True, self.loop.time()
        if not self._head_whole and not self._rests():  # behind a request that is under way, and is answered
            self.cycle.keep_alive = False
            return
        if not self._head_whole or not self._began:
            speaks, lingers = True, self.transport.can_write_eof()
        else:  # within the body of a request that may have been answered already
            speaks, lingers = not self._rests() and not getattr(self.cycle, "response_started", False), False
        if speaks:
            body = orjson.dumps({"error": self._limits.told(status)})
            head = (
                *(name + b": " + value for name, value in self.server_state.default_headers),
                b"content-type: application/json",
                b"content-length: %d" % len(body),
                b"connection: close",
            )
            self.transport.write(STATUS_LINE[status] + b"\r\n".join(head) + b"\r\n\r\n" + body)
        self._gone_at = now + LINGER_S
        if lingers:
            self.transport.write_eof()
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (the name is uvicorn's)
        """The parser refuses; msg says less than we do."""
        self._refuse(self._status)

    def shutdown(self) -> None:
        """The service stops: the connection ends with its next answer, or now if none is due."""
        self.ends = True
        if self._rests():
            self.loop.call_later(RESTING_S, self._close_if_it_rests)
        else:
            self.cycle.keep_alive = False

    def _close_if_it_rests(self) -> None:
        if self._rests():
            self._close_resting()

    def _close_resting(self) -> None:
        """Over TLS a caller who rests may not hear that it is asked to close too, and would be waited for."""
        self.transport.close()
        if self.scheme == "https" and not self.transport.get_write_buffer_size():
            self.loop.call_later(RESTING_S, self.transport.abort)
