"""What all tests share: how they are named, and what their garbage collector looks at."""

import gc


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes by their length: a test's name is the same in every process, whatever time a file holds."""
    return f"{len(val)}-bytes" if isinstance(val, bytes) else None


def pytest_collection_finish() -> None:
    """What is imported stays: a service collects after each change of its models, and torch alone takes it 0.2 s."""
    gc.collect()
    gc.freeze()
