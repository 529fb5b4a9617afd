"""Which requests the fast lane takes, told by their heads.

A POST to a model that serves, with a plain head (a Content-Length, no compression, nothing repeated or expected).
Callers send the same head again and again, so that those that have been parsed once are known by their bytes.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from app.errors import InvalidInput, ModelNotFound, ModelNotReady, ServingError
from app.gate import Gate
from app.inference import batch
from app.inference.model import Model
from app.inference.signature import Tensors
from app.keys import Caller
from app.protocols import v2
from app.protocols.together import Codec
from app.protocols.v1_together import V1Codec
from app.protocols.v2_together import V2Codec
from app.repository import Repository
from app.web import version_number

PATH = re.compile(
    r"/v2/models/(?P<v2>[^/:%?#]+)(/versions/(?P<v2_version>[^/:%?#]+))?/infer"
    r"|/v1/models/(?P<v1>[^/:%?#]+)(/(versions|labels)/(?P<v1_version>[^/:%?#]+))?:predict"
)

UNUSUAL = {
    b"transfer-encoding",
    b"content-encoding",
    b"expect",
    b"upgrade",
    b"range",
    b"origin",
}
"""Headers of requests that are left to ASGI."""

PLAIN_TYPES = {b"", b"application/json", b"application/octet-stream", b"application/x-www-form-urlencoded"}

OWN = {b"x-request-id", b"traceparent", b"tracestate", b"baggage"}
"""Headers that each request has a value of its own for: its head will not be seen again."""

MOST_HEADS = 1024

MOST_KINDS = 1024

LARGEST_HEAD = 4096
"""Of the heads that are remembered, in bytes."""

LARGEST_BODY = 2**20
"""Larger ones are left to ASGI, which reads them piece by piece and decodes them in a thread."""

JSON_LENGTH = v2.HEADER_LENGTH.lower().encode()


class Target:
    """What a path names. codec: None where no request for it can be read together with others. most_rows: of one."""

    def __init__(self, model: Model, protocol: str) -> None:
        self.model, self.protocol, self.codec = model, protocol, _codec(model, protocol)
        self.most_rows = model.limits.max_rows or 1
        self._kinds: dict[Hashable, Hashable] = {}

    def kind(self, trailing: Hashable, tensors: Tensors) -> Hashable:
        """As `batch.kind`, which always is the same where the shapes without the rows are."""
        if trailing not in self._kinds:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
            self._kinds[trailing] = batch.kind(tensors)
        return self._kinds[trailing]


@dataclass(frozen=True)
class Head:
    """What a request says before its body. headers: lower-case name -> value; no name stands twice. caller: whose key
    it has; None where none is wanted."""

    target: Target
    caller: Caller | None
    path: bytes
    headers: Mapping[bytes, bytes]
    body_bytes: int
    keep_alive: bool

    @cached_property
    def accepted(self) -> str:
        """What Accept-Encoding says."""
        return self.headers.get(b"accept-encoding", b"").decode("latin-1")

    @property
    def json_length(self) -> int | None:
        """Bytes of JSON in front of binary tensors; None where all is JSON. Raises InvalidInput."""
        sent = self.headers.get(JSON_LENGTH)
        lengths = [] if sent is None else [sent.decode("latin-1")]
        return v2.json_length_of(lengths, self.headers.get(b"content-type", b"").decode("latin-1"))

    @cached_property
    def plain_json_length(self) -> int | None:
        """The same; 0 where it is wrong."""
        try:
            return self.json_length
        except InvalidInput:
            return 0


class Admission:
    """The heads of requests for the fast lane.

    known: bytes -> the head that they are, if they were one before and no model has changed since.
    """

    def __init__(self, repository: Repository, gate: Gate) -> None:
        self._repository, self._gate = repository, gate
        self._targets: dict[bytes, Target] = {}
        self._heads: dict[bytes, Head] = {}
        self.known = self._heads.get
        repository.watch(self.forget)

    def remember(self, sent: bytes, head: Head) -> None:
        """These bytes are this head."""
        if len(sent) > LARGEST_HEAD or not OWN.isdisjoint(head.headers):
            return
        if len(self._heads) >= MOST_HEADS:
            self._heads.clear()
        self._heads[sent] = head

    def forget(self) -> None:
        """What a path named may be gone, and while it stood here its memory would stay; or other keys are known."""
        self._heads.clear()
        self._targets.clear()

    def admit(self, path: bytes, headers: Sequence[tuple[bytes, bytes]], keep_alive: bool) -> Head | None:
        """The head of a request that the lane may take, None for any other."""
        target = self._targets.get(path) or self._find(path)
        named = dict(headers)
        if target is None or len(named) != len(headers) or not UNUSUAL.isdisjoint(named):
            return None
        length = named.get(b"content-length", b"")
        if not length.isdigit() or int(length) > LARGEST_BODY or named.get(b"content-type", b"") not in PLAIN_TYPES:
            return None
        try:
            caller = self._gate.check(path.decode("latin-1"), named)
        except ServingError:
            return None
        return Head(target, caller, path, named, int(length), keep_alive)

    def _find(self, url: bytes) -> Target | None:
        named = PATH.fullmatch(url.decode("latin-1"))
        if named is None:
            return None
        protocol = "v1" if named["v1"] else "v2"
        name, version = named[protocol], named[f"{protocol}_version"]
        try:
            number = None if version is None else version_number(self._repository, name, version)
            model = self._repository.get(name, number)
        except (ModelNotFound, ModelNotReady):
            return None
        target = self._targets[url] = Target(model, protocol)
        return target


def _codec(model: Model, protocol: str) -> Codec | None:
    """Of models whose rows share runs; texts are read one by one, since how long they run depends on their length."""
    if not model.signature.batched or any(spec.datatype == "BYTES" for spec in model.signature.inputs):
        return None
    if protocol == "v2":
        return V2Codec(model)
    return V1Codec(model) if V1Codec.takes(model) else None
