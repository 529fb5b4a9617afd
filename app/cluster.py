"""The same application as a deployment of Ray Serve, which starts as many as the load needs, on as many machines.

    HEADRACE_MODELS=/shared/models serve run app.cluster:headrace

HEADRACE_* variables of whoever runs it reach every replica; those of sockets, workers and stops are Ray's business.
Every machine sees the models under the same path, or has them from a store. A replica takes no traffic before they
are loaded. How many replicas there are follows from how many requests wait or run at each of them.
"""

import os
from typing import Any

from ray import serve
from starlette.types import ASGIApp

from app.main import create_app
from app.settings import Settings

ONGOING = 16
"""Requests that wait or run at a replica before there is to be another: enough for runs to be shared."""

MOST_REPLICAS = 64

MOST_ONGOING = 256
"""What Ray hands a replica at most; the rest waits where Ray can give it to another."""


def build() -> ASGIApp:
    """What one replica serves."""
    return create_app(Settings(), warm_first=True).app


def deployed(**options: Any) -> serve.Application:
    """To be run by `ray.serve.run`. options: of `Deployment.options`, in place of those here."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("HEADRACE_")}
    usual = {
        "autoscaling_config": {"min_replicas": 1, "max_replicas": MOST_REPLICAS, "target_ongoing_requests": ONGOING},
        "max_ongoing_requests": MOST_ONGOING,
        "health_check_period_s": 5,
        "graceful_shutdown_timeout_s": Settings().stop_timeout_s,
        "ray_actor_options": {"num_cpus": 1, "runtime_env": {"env_vars": settings}},
    }
    deployment = serve.deployment(serve.ingress(build)(), name="headrace")
    return deployment.options(**(usual | options)).bind()


headrace = deployed()
