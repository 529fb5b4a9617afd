"""A listening socket that is given up resets nobody."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from app.sockets import give_up, listen

CALLERS = 8


@contextmanager
def listening() -> Iterator[socket.socket]:
    with listen("127.0.0.1", 0, shared=True) as bound:
        bound.listen(2048)
        yield bound


def call_on_and_on(address: tuple[str, int]) -> int:
    """Connects, asks and is answered until nobody listens any more: how often. Raises OSError where it is reset."""
    answered = 0
    while True:
        with socket.socket() as caller:
            caller.settimeout(30)
            try:
                caller.connect(address)
            except ConnectionRefusedError:
                return answered
            caller.sendall(b"?")
            assert caller.recv(1) == b"!"
            answered += 1


def answer(taken: socket.socket) -> None:
    with taken:
        taken.setblocking(True)
        assert taken.recv(1) == b"?"
        taken.sendall(b"!")


def test_who_has_connected_is_answered_and_who_comes_later_refused() -> None:
    with listening() as bound, socket.socket() as caller:
        address = bound.getsockname()
        caller.connect(address)
        caller.sendall(b"?")
        (taken,) = give_up(bound)
        answer(taken)
        assert caller.recv(1) == b"!"
    with socket.socket() as late, pytest.raises(ConnectionRefusedError):
        late.connect(address)


@pytest.mark.parametrize("_", range(10))
def test_of_callers_in_full_flight_none_is_reset(_: int) -> None:
    with listening() as bound, ThreadPoolExecutor(CALLERS) as callers:
        told = [callers.submit(call_on_and_on, bound.getsockname()) for _ in range(CALLERS)]
        for _ in range(200):
            answer(bound.accept()[0])
        for taken in give_up(bound):
            answer(taken)
        assert sum(one.result() for one in told) >= 200


def test_a_socket_that_never_listened_has_nobody_waiting() -> None:
    assert give_up(listen("127.0.0.1", 0, shared=True)) == []
