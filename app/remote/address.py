"""Where models are: in a folder, or at an address such as s3://bucket/models; nothing is opened here."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TypeGuard
from urllib.parse import urlsplit

ADDRESS = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]*)://.+")


def is_remote(models: str | Path) -> TypeGuard[str]:
    """Whether this is an address."""
    return isinstance(models, str) and ADDRESS.fullmatch(models) is not None


def check(address: str) -> None:
    """Raises ValueError for an address that cannot be read here: a library is missing, or it holds a secret."""
    if find_spec("fsspec") is None:
        raise ValueError(f"models at {address} need fsspec and its store's library, such as: pip install fsspec s3fs")
    from fsspec.registry import known_implementations  # an optional extra

    parts = urlsplit(address)
    if parts.password or parts.query or parts.fragment:
        raise ValueError(
            f"{parts.scheme}://{parts.hostname}: keys belong in the store's own variables, not in its address"
        )
    if parts.scheme not in known_implementations:
        raise ValueError(
            f"{address}: fsspec knows no {parts.scheme}://; it knows {', '.join(sorted(known_implementations))}"
        )
    known = known_implementations[parts.scheme]
    package = re.split("[.:]", known["class"])[0]
    if find_spec(package) is None:
        raise ValueError(f"{address} needs {package}: pip install {package} ({known.get('err', package)})")
