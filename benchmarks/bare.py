"""The HTTP floor: an ASGI application on uvicorn that reads a body and answers a fixed one."""

import sys

import uvicorn
from starlette.types import Receive, Scope, Send

ANSWER = b'{"predictions":[{"label":"malignant","probability":0.99999}]}'


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the whole body and answers."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False, lifespan="off")
