"""Listening sockets: how one is had, and how one is given up without a connection being reset."""

import ctypes
import socket
import struct
import sys
from contextlib import suppress
from time import sleep

SO_ATTACH_FILTER = 26
"""Of Linux; the socket module has no name for it."""

NO_NEW_CONNECTIONS = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of the TCP header that has its flags
        (0x45, 0, 1, 0x02),  # without SYN, over the next
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 2**32 - 1),  # keep
    )
)
"""A program of the kernel's packet filter (Documentation/networking/filter.rst, struct sock_filter)."""

HANDSHAKE_S = 0.01
"""For connections that were half open when the filter came."""


def listen(host: str, port: int, *, shared: bool) -> socket.socket:
    """A bound TCP socket; `shared` lets other processes of the same user bind the same port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def give_up(listening: socket.socket) -> list[socket.socket]:
    """Closes a listening socket; the connections that the kernel has accepted and no process has taken, which would be
    reset with it.

    Those that would come meanwhile are not answered: a caller asks again after a second, and meets another process that
    listens, or none. Takes HANDSHAKE_S.
    """
    with listening:
        if sys.platform == "linux":
            _turn_away(listening)
        accepted = _accepted(listening)
        sleep(HANDSHAKE_S)
        return accepted + _accepted(listening)


def _turn_away(listening: socket.socket) -> None:
    program = ctypes.create_string_buffer(NO_NEW_CONNECTIONS, len(NO_NEW_CONNECTIONS))
    count = len(NO_NEW_CONNECTIONS) // struct.calcsize("HBBI")
    with suppress(OSError):  # a sandbox may forbid it; what comes just now is reset then
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", count, ctypes.addressof(program)))


def _accepted(listening: socket.socket) -> list[socket.socket]:
    listening.setblocking(False)
    accepted = []
    with suppress(OSError):  # there are no more
        while True:
            accepted.append(listening.accept()[0])
    return accepted
