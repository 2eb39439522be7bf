import asyncio
import socket

import pytest
from backing_services.guards.sockets import SocketBlockedError, no_sockets


def test_connecting_is_refused_and_remembered() -> None:
    with no_sockets() as attempts, socket.socket() as client, pytest.raises(SocketBlockedError):
        client.connect(("127.0.0.1", 9))

    assert attempts == ["socket.connect ('127.0.0.1', 9)"]


def test_a_unix_socket_is_refused_too_because_a_database_may_be_behind_it() -> None:
    with no_sockets(), socket.socket(socket.AF_UNIX) as client, pytest.raises(SocketBlockedError):
        client.connect("/run/.s.PGSQL.5432")


def test_listening_and_looking_up_names_are_refused() -> None:
    with no_sockets(), socket.socket() as server, pytest.raises(SocketBlockedError):
        server.bind(("127.0.0.1", 0))
    with no_sockets(), pytest.raises(SocketBlockedError):
        socket.getaddrinfo("db.example", 5432)


async def test_asyncio_is_refused_as_well() -> None:
    with no_sockets(), pytest.raises(SocketBlockedError):
        await asyncio.open_connection("127.0.0.1", 9)


def test_a_new_event_loop_can_be_made() -> None:
    with no_sockets() as attempts:
        asyncio.run(asyncio.sleep(0))

    assert attempts == []
