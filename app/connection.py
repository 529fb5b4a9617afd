"""One HTTP connection whose ordinary predictions go down the fast lane (`app/lane.py`)."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.admission import Head
from app.lane import Lane, Request
from app.parser import HttpProtocol


class LaneProtocol(HttpProtocol):
    """A caller sends the same head again and again. One that has been parsed and taken once is known from then on by
    its bytes, and is not parsed again where the whole request comes in one piece.
    """

    def __init__(self, *arguments: Any, lane: Lane, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._lane = lane
        self._known = lane.admission.known
        self._reading: Request | None = None
        self._request: Request | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes off the wire."""
        if self._began or self._deaf:
            super().data_received(data)
            return
        length = data.find(b"\r\n\r\n") + 4
        head = self._known(data[:length])
        if head is not None and len(data) == length + head.body_bytes and self._is_free():
            request = self._begin(head)
            request.parts.append(data[length:])
            self._lane.take(request)
            return
        before = self._request
        super().data_received(data)
        begun = self._request
        if begun is not None and begun is not before and len(data) == length + begun.head.body_bytes:
            self._lane.admission.remember(data[:length], begun.head)

    def _is_free(self) -> bool:
        """No request is under way, and the caller is not slow to read answers."""
        return self._rests() and not self.flow.write_paused

    def _begin(self, head: Head) -> Request:
        request = self._request = self._lane.begin(self, head)
        request.keep_alive &= not self.ends
        self.cycle = request  # type: ignore[assignment]
        return request

    def on_message_begin(self) -> None:
        """The scope is made once it is known that one is needed."""
        self._begin_message()
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        """Takes the request, or begins one of ASGI's."""
        head = self._head()
        if head is not None:
            self._head_whole = True
            self._reading = self._begin(head)
            return
        url, headers, expect, began = self.url, self.headers, self.expect_100_continue, self._began
        super().on_message_begin()
        self.url, self.expect_100_continue, self._began = url, expect, began
        self.headers += headers
        super().on_headers_complete()

    def _head(self) -> Head | None:
        """None if the request is none of the lane's."""
        if self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1" or not self._is_free():
            return None
        return self._lane.admission.admit(self.url, self.headers, self.parser.should_keep_alive())

    def on_body(self, body: bytes) -> None:
        """A part of it."""
        if self._reading is None:
            super().on_body(body)
        else:
            self._reading.parts.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._reading is None:
            super().on_message_complete()
        else:
            self._began = 0.0
            request, self._reading = self._reading, None
            self._lane.take(request)

    def respond(self, request: Request, status: int, head: bytes, body: bytes) -> None:
        """Write an answer; head: its headers, each with its line's end."""
        close = b"" if request.keep_alive else b"connection: close\r\n"
        shared = self._lane.shared_headers(self.server_state.default_headers)
        self.transport.write(b"".join((STATUS_LINE[status], shared, head, close, b"\r\n", body)))
        request.response_complete, self._request = True, None
        if not request.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def shutdown(self) -> None:
        """The service stops: an answer under way is waited for, as long as uvicorn waits for its own tasks."""
        super().shutdown()
        if self.config.timeout_graceful_shutdown is not None:
            self.loop.call_later(self.config.timeout_graceful_shutdown, self._give_up)

    def _give_up(self) -> None:
        if self._request is not None:
            self.transport.abort()  # which takes back what waits, so that the stop need not compute it

    def connection_lost(self, exc: Exception | None) -> None:
        """Takes back what was asked."""
        request, self._request = self._request, None
        if request is not None:
            self._lane.lose(request)
        if isinstance(self.cycle, Request):
            self.cycle = None  # type: ignore[assignment]
        super().connection_lost(exc)
