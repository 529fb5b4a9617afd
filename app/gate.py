"""Whom and what the service lets in: keys and their scopes, hosts, bodies by their announced length, and how many."""

import re
from collections.abc import Mapping, Sequence

from app.bodies import too_large
from app.errors import BodyTooLarge, Forbidden, Misdirected, QueueFull, Unauthorized
from app.keys import Caller, Keys, Scope

OPEN_PATHS = re.compile(r"/health/(live|ready)|/v2/health/(live|ready)|/|/docs|/redoc|/static/.+")
"""Answered without a key: probes have none, and pages must load before anyone can enter one. The pages and their assets
are the same for every service; they hold no data and ask for all of it with the key."""

PREDICTIONS = re.compile(r"/v1/models/.+:(predict|explain)|/v2/models/.+/infer")

CONTROL = re.compile(r"/v2/repository/models/.+/(load|unload)")


def wanted_scope(path: str) -> Scope:
    """The scope that a key needs for a path."""
    if PREDICTIONS.fullmatch(path):
        return "infer"
    return "admin" if CONTROL.fullmatch(path) else "read"


class Gate:
    """What is asked of every request before its body is read.

    opened: paths that need no key beside OPEN_PATHS.
    hosts:  that the service answers under, `*.` in front of one standing for any part before it; empty for all.
    """

    def __init__(self, keys: Keys, max_body_bytes: int, opened: Sequence[str] = (), hosts: Sequence[str] = ()) -> None:
        self._keys, self.max_body_bytes, self._opened = keys, max_body_bytes, frozenset(opened)
        self._hosts = {host.lower() for host in hosts if not host.startswith("*.")}
        self._domains = tuple(host[1:].lower() for host in hosts if host.startswith("*."))

    def check(self, path: str, headers: Mapping[bytes, bytes]) -> Caller | None:
        """Who asks; None where no key is wanted. Raises Misdirected, Unauthorized, Forbidden, BodyTooLarge."""
        if self._hosts or self._domains:
            self._check_host(headers.get(b"host", b"").decode("latin-1"))
        caller = self._caller(path, headers)
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self.max_body_bytes:
            raise BodyTooLarge(too_large(f"{int(length)} bytes", self.max_body_bytes))
        return caller

    def _check_host(self, sent: str) -> None:
        host = re.sub(r":[0-9]*$", "", sent).lower()
        if host not in self._hosts and not host.endswith(self._domains or ("\0",)):
            raise Misdirected(f"this service does not answer as {host[:200]!r}")

    def _caller(self, path: str, headers: Mapping[bytes, bytes]) -> Caller | None:
        if not self._keys.wanted or path in self._opened or OPEN_PATHS.fullmatch(path):
            return None
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        caller = self._keys.find(headers.get(b"x-api-key", b""))
        if caller is None and scheme.lower() == b"bearer":
            caller = self._keys.find(bearer.strip())
        if caller is None:
            raise Unauthorized("wanted an API key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`")
        if caller.expired:
            raise Unauthorized(f"the key {caller.name} has expired, wanted one that has not")
        if (scope := wanted_scope(path)) not in caller.scopes:
            raise Forbidden(f"the key {caller.name} may not do this, which wants the scope {scope}")
        return caller


class InFlight:
    """Predictions of this worker that have begun and are not yet answered.

    most: further ones are refused, before their bodies are parsed.
    """

    def __init__(self, most: int) -> None:
        self.most, self.count = most, 0

    def refusal(self) -> QueueFull | None:
        """Why the last one that has begun cannot be taken; None if it can."""
        if self.count <= self.most:
            return None
        return QueueFull(f"the service is busy: more than {self.most} predictions are under way", 1, "in_flight")
