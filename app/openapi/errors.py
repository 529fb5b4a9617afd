"""Errors in the document: the one shape, and for each status when it comes and what a caller can do about it.

`STATUS` in refusals.py is the table that decides; a test holds this one to it.
"""

from dataclasses import dataclass

from app.openapi.schemas import Schema, ref


@dataclass(frozen=True)
class Explained:
    """name: of the component. when, remedy: sentences for the reader. example: what an answer says."""

    name: str
    when: str
    remedy: str
    example: str


ERRORS = {
    400: Explained(
        "BadRequest",
        "The body, a tensor or a value is not what the model takes, or the bytes are not HTTP.",
        "Change what the sentence names to what it wants.",
        "instances[1].x: -3, wanted 0 to 5",
    ),
    401: Explained(
        "Unauthorized",
        "A key is wanted, and none or an unknown one was sent.",
        "Send `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
        "wanted an API key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`",
    ),
    403: Explained(
        "Forbidden",
        "What this service, or the key, does not allow, such as loading models over HTTP.",
        "Ask the operator.",
        "models are not loaded and unloaded over HTTP here; HEADRACE_REPOSITORY_CONTROL=true allows it",
    ),
    404: Explained(
        "NotFound",
        "No such model, version, label or path.",
        "The sentence lists what there is.",
        "no model 'oak'; models: elm, ash",
    ),
    405: Explained(
        "MethodNotAllowed",
        "The path takes other methods.",
        "Use one of those in the header `Allow`.",
        "method GET is not allowed on /v2/models/elm/infer",
    ),
    413: Explained(
        "BodyTooLarge",
        "The body, or what it decompresses or decodes to, is over the limit.",
        "Send fewer rows, or smaller images and sounds, at a time, or have the limit raised.",
        "the body has 99999999 bytes, wanted at most 67108864 bytes",
    ),
    415: Explained(
        "UnsupportedMediaType",
        "A `Content-Type` or a `Content-Encoding` that is not read.",
        "Send JSON, or binary tensors as `application/octet-stream`; as they are, or in gzip or deflate.",
        "Content-Type text/html, wanted application/json or application/octet-stream",
    ),
    421: Explained(
        "Misdirected",
        "The service does not answer under the host name that the request is for.",
        "Use a name of its own, or have yours added.",
        "this service does not answer as 'elm.example'",
    ),
    429: Explained(
        "QueueFull",
        "The model's queue is full or longer than its deadline, the service is busy, or the key's rate is used up.",
        "Try again after the seconds that `Retry-After` names.",
        "the queue of elm is full: 4096 rows wait",
    ),
    500: Explained(
        "InternalError",
        "Our fault: the graph failed on tensors that its signature allows, or a bug.",
        "Report the `X-Request-ID`; the server's log has the reason.",
        "the model failed on this input; the server's log has the reason",
    ),
    501: Explained(
        "NotImplemented",
        "A part of the protocol that is not served: state (`sequence_*`), model files in a request (`file:`).",
        "Leave it out.",
        "parameter sequence_id: models with state are not served",
    ),
    503: Explained(
        "NotReady",
        "The model is known and does not answer: it is loading, or it could not be loaded.",
        "While it loads, try again after the seconds in `Retry-After`; without that header, tell the operator.",
        "model elm is not ready: it is loading",
    ),
    504: Explained(
        "DeadlineExceeded",
        "No answer within the deadline, the model's or the request's own.",
        "Send fewer rows at a time, or allow more time.",
        "no answer within 30 s",
    ),
}

ERROR: Schema = {
    "type": "object",
    "description": "What every error looks like.",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What is wrong and what would be right."}},
}

SECONDS = {"type": "integer", "minimum": 1}

HEADERS: dict[int, Schema] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    415: {
        "Accept": {"required": True, "schema": {"type": "string"}},
        "Accept-Encoding": {"required": True, "schema": {"type": "string"}},
    },
    429: {"Retry-After": {"description": "In seconds.", "required": True, "schema": SECONDS}},
    503: {"Retry-After": {"description": "In seconds, while the model loads.", "schema": SECONDS}},
}


def components() -> dict[str, Schema]:
    """components/responses: an answer for each status."""
    return {
        error.name: {
            "description": f"{error.when} {error.remedy}",
            **({"headers": HEADERS[status]} if status in HEADERS else {}),
            "content": {"application/json": {"schema": ref("Error"), "example": {"error": error.example}}},
        }
        for status, error in ERRORS.items()
        if status != 405  # of a method that no operation has
    }


def responses(*statuses: int) -> Schema:
    """The answers of an operation that may end in these statuses."""
    return {str(status): ref(ERRORS[status].name, "responses") for status in sorted(statuses)}


def table() -> str:
    """All of it in Markdown."""
    rows = [f"| {status} | {error.when} | {error.remedy} |" for status, error in ERRORS.items()]
    return "\n".join(["| status | when | what to do |", "| ---: | --- | --- |", *rows])
