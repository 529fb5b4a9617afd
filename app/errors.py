"""What can go wrong, in the caller's words.

Every error a request can meet is a `ServingError`, raised where the fact is known and carrying facts, never a
status code: `refusals.py` holds the one table that turns these into HTTP.
"""

import re
from collections.abc import Sequence


class ServingError(Exception):
    """A request, or a model, that cannot be served; its text goes to the caller.

    reason: of which kind it is, for the metrics: invalid_input and so on.
    """

    reason = ""

    def __init_subclass__(cls) -> None:
        cls.reason = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()


class InvalidInput(ServingError):
    """The caller's tensors or body are not what the model takes.

    features: whose values are to blame, one for each value; empty where it is something else.
    """

    features: Sequence[str] = ()


class OutsideDomain(InvalidInput):
    """Values outside the range that the model's manifest declares."""

    def __init__(self, violations: list["Violation"]) -> None:
        self.violations = violations
        self.features = [violation.feature for violation in violations]
        super().__init__("; ".join(f"{v.tensor}{list(v.index)} ({v.feature}): {v.fact}" for v in violations))


class Violation:
    """One value outside its feature's range.

    index: the value's place in the tensor, row first.
    fact:  what it is and what was wanted, as `-2, wanted 0 to 50 mm`.
    """

    def __init__(self, tensor: str, index: tuple[int, ...], feature: str, fact: str) -> None:
        self.tensor, self.index, self.feature, self.fact = tensor, index, feature, fact


class BodyTooLarge(ServingError):
    """A body over the limit."""


class MediaTooLarge(ServingError):
    """Images or sounds that would take up more than the limit once they are decoded."""


class UnsupportedMedia(ServingError):
    """A body in a type or an encoding that the service does not read."""


class Unsupported(ServingError):
    """A part of the protocol that the service does not implement."""


class Unauthorized(ServingError):
    """No API key, or one that is not known."""


class Forbidden(ServingError):
    """What the service, or the caller's key, does not allow."""


class RateExceeded(ServingError):
    """More calls than the caller's key allows in a time.

    retry_after_s: when the next one is allowed, in seconds.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Misdirected(ServingError):
    """A request for a host that the service does not answer under."""


class ModelNotFound(ServingError):
    """No model, or no version, of that name."""


class ModelNotReady(ServingError):
    """The model is known and cannot answer now: it is loading, or it failed to load.

    loading: so that trying again soon is worth while.
    """

    def __init__(self, message: str, loading: bool) -> None:
        super().__init__(message)
        self.loading = loading


class QueueFull(ServingError):
    """A bound on what waits has been reached.

    retry_after_s: when trying again is worth while, in seconds.
    reason:        which bound, for the metrics: queue_rows, queue_wait or in_flight.
    """

    def __init__(self, message: str, retry_after_s: float, reason: str) -> None:
        super().__init__(message)
        self.retry_after_s, self.reason = retry_after_s, reason


class DeadlineExceeded(ServingError):
    """No answer within the request's deadline."""


class CallerGone(ServingError):
    """The caller hung up before there was an answer."""


class InferenceFailed(ServingError):
    """onnxruntime failed on tensors that the signature allows; the text is for the log, not for the caller."""


class ModelLoadFailed(ServingError):
    """A model version that cannot be served, with the reason."""
