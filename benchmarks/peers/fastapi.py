"""A service as people write it by hand: FastAPI on uvicorn with two processes, orjson, the network on the event loop.

No batching. `async def`, since FastAPI runs a plain function in a thread of its own, at a hop for each request.
"""

import os

import uvicorn
from fastapi import FastAPI, Request, Response

from benchmarks.peers.wire import Network, arguments


def create_app() -> FastAPI:
    """The service over the networks that the environment names."""
    app = FastAPI()
    networks = {name: Network(name, threads=1) for name in os.environ["NETWORKS"].split()}
    binary = os.environ["BINARY"] == "1"
    kind = "application/octet-stream" if binary else "application/json"

    @app.post("/v2/models/{name}/infer")
    async def infer(name: str, request: Request) -> Response:
        network = networks[name]
        rows = network.decode(await request.body(), binary=binary)
        return Response(network.encode(network.run(rows), binary=binary), media_type=kind)

    return app


def main() -> None:
    """Serve until stopped."""
    asked = arguments()
    os.environ |= {"NETWORKS": " ".join(asked.models), "BINARY": str(int(asked.binary))}
    app = "benchmarks.peers.fastapi:create_app"
    uvicorn.run(app, factory=True, port=asked.port, workers=2, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
