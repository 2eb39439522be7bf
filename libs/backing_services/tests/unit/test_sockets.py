import asyncio
import socket
from collections.abc import Callable

import pytest
from backing_services.guards.sockets import EVENTS, SocketBlockedError, no_sockets

HOST = "127.0.0.1"
ADDRESS = (HOST, 9)
USES: dict[str, Callable[[socket.socket], object]] = {
    "socket.connect": lambda client: client.connect(ADDRESS),
    "socket.bind": lambda server: server.bind(ADDRESS),
    "socket.sendto": lambda client: client.sendto(b"metric", ADDRESS),
    "socket.sendmsg": lambda client: client.sendmsg([b"metric"], [], 0, ADDRESS),
    "socket.getaddrinfo": lambda _: socket.getaddrinfo(*ADDRESS),
    "socket.gethostbyname": lambda _: socket.gethostbyname(HOST),
    "socket.gethostbyaddr": lambda _: socket.gethostbyaddr(HOST),
    "socket.getnameinfo": lambda _: socket.getnameinfo(ADDRESS, 0),
}


@pytest.mark.parametrize("event", USES)
def test_each_use_of_the_network_is_refused_and_remembered(event: str) -> None:
    with no_sockets() as attempts, socket.socket(type=socket.SOCK_DGRAM) as used, pytest.raises(SocketBlockedError):
        USES[event](used)

    [attempt] = attempts
    assert attempt.startswith(f"{event} ")
    assert HOST in attempt


def test_no_use_is_refused_that_nobody_has_tried() -> None:
    assert USES.keys() == EVENTS


def test_what_two_ends_of_one_process_say_to_each_other_is_no_use_of_the_network() -> None:
    """asyncio from Python 3.12 on writes several buffers by `sendmsg`, also to its own processes."""
    one, other = socket.socketpair()
    with no_sockets() as attempts, one, other:
        one.sendmsg([b"hello"])
        assert other.recv(5) == b"hello"

    assert attempts == []


def test_a_unix_socket_is_refused_too_because_a_database_may_be_behind_it() -> None:
    with no_sockets(), socket.socket(socket.AF_UNIX) as client, pytest.raises(SocketBlockedError):
        client.connect("/run/.s.PGSQL.5432")


async def test_asyncio_is_refused_as_well() -> None:
    with no_sockets(), pytest.raises(SocketBlockedError):
        await asyncio.open_connection("127.0.0.1", 9)


def test_a_new_event_loop_can_be_made() -> None:
    with no_sockets() as attempts:
        asyncio.run(asyncio.sleep(0))

    assert attempts == []
