"""What all tests share: how they are named."""


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes by their length: a test's name is the same in every process, whatever time a file holds."""
    return f"{len(val)}-bytes" if isinstance(val, bytes) else None
