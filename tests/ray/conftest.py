"""A head without processors of its own, so that nothing runs there, and two nodes."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import ray
from ray import serve
from ray.cluster_utils import Cluster

ROOM = {"object_store_memory": 100_000_000, "include_dashboard": False}


@dataclass
class Nodes:
    """cluster: as Ray's own tests have one. nodes: those that do the work. url: of Ray Serve."""

    cluster: Any
    nodes: list[Any]
    url: str

    def add(self) -> None:
        self.nodes.append(self.cluster.add_node(num_cpus=2, **ROOM))
        self.cluster.wait_for_nodes()

    def kill_last(self) -> None:
        """Without a word to anybody."""
        self.cluster.remove_node(self.nodes.pop(), allow_graceful=False)


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **ROOM})
    found = Nodes(cluster, [], f"http://127.0.0.1:{port}")
    found.add()
    found.add()
    ray.init(address=cluster.address, log_to_driver=False)
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    yield found
    serve.shutdown()
    ray.shutdown()
    cluster.shutdown()
