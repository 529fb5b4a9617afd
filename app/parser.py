"""HTTP off the wire: uvicorn's parser, whose refusals have the one shape that all errors have."""

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

RESTING_S = 0.1
"""When the service stops, a connection that rests may still bring a request that was on its way."""

NOT_HTTP = orjson.dumps({"error": "this is not HTTP/1.1, or a line or a header of it is malformed or too long"})


class HttpProtocol(HttpToolsProtocol):
    """One connection. Bytes that cannot be parsed never become a request, so no other layer can answer them.

    ends: with the next answer.
    """

    ends = False

    def on_headers_complete(self) -> None:
        """Begins a request."""
        super().on_headers_complete()
        if self.ends and self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """The service stops: the connection ends with its next answer, or now if none is due."""
        self.ends = True
        if self._rests():
            self.loop.call_later(RESTING_S, self._close_if_it_rests)
        else:
            self.cycle.keep_alive = False

    def _rests(self) -> bool:
        """No request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def _close_if_it_rests(self) -> None:
        if self._rests():
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (the name is uvicorn's)
        """Refuses the connection; msg, which says less, stays in the log."""
        head = (
            *(name + b": " + value for name, value in self.server_state.default_headers),
            b"content-type: application/json",
            b"content-length: %d" % len(NOT_HTTP),
            b"connection: close",
        )
        self.transport.write(STATUS_LINE[400] + b"\r\n".join(head) + b"\r\n\r\n" + NOT_HTTP)
        self.transport.close()
