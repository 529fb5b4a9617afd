"""HTTP off the wire: uvicorn's parser, whose refusals have the one shape that all errors have."""

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

NOT_HTTP = orjson.dumps({"error": "this is not HTTP/1.1, or a line or a header of it is malformed or too long"})


class HttpProtocol(HttpToolsProtocol):
    """One connection. Bytes that cannot be parsed never become a request, so no other layer can answer them."""

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
