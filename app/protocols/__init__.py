"""Bytes to tensors and back, one module a protocol. A new protocol is a new module with a `router`, and a line here."""

from app.protocols import health, v1, v1_explain, v2, v2_operations

ROUTERS = (health.router, v1.router, v1_explain.router, v2_operations.router, v2.router)
"""In the order they are mounted."""
