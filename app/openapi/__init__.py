"""The OpenAPI document: one typed operation for each loaded model, version and protocol, each with an example that
gives a real prediction.

FastAPI describes the routes that are the same for every model (`fixed.py`). The inference routes are left out of its
document; their typed twins are written here from the manifest, or from the signature where a model has none.
"""

from app.openapi.document import Policy, document

__all__ = ["Policy", "document"]
