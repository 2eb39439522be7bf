"""Whether containers can run here: an engine that answers, and their images, which it has or can get.

testcontainers finds out only when a container starts. Then each test fails by what the engine said.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from backing_services._extras import MissingExtraError, extra

if TYPE_CHECKING:
    from testcontainers.core.docker_client import DockerClient

DEFAULT_ENGINE = "unix:///var/run/docker.sock"
PORTS = {"tcp": 2375, "http": 2375, "https": 2376, "ssh": 22}
ANSWER_LIMIT = 2.0  # seconds
REGISTRY_LIMIT = 20  # seconds for each image: Docker gives a registry up after 15


def why_no_engine() -> str | None:
    """Say in a few words why no container at all can run here, or None. Takes 2 seconds at most."""
    try:
        engine = _engine()
    except MissingExtraError as error:
        return str(error)
    return None if _answers(urlsplit(engine)) else f"no Docker engine answers at {engine}"


def why_no_container(image: str, variable: str) -> str | None:
    """Say in one sentence why testcontainers can't run this image here, or None; `variable` names another image.

    testcontainers needs its reaper's image, too, unless it is told to do without. An image that is missing is asked for
    at its registry, once in a process, for 20 seconds at most. Nothing is pulled.
    """
    return why_no_engine() or _why_no_images(_engine(), image, variable)


def _engine() -> str:
    """The address that testcontainers takes. Raises MissingExtraError."""
    with extra("containers", of="a container"):
        from testcontainers.core.docker_client import get_docker_host  # noqa: PLC0415 - 0.3 s for those who need it
    return get_docker_host() or DEFAULT_ENGINE


def _answers(engine: SplitResult) -> bool:
    if engine.scheme not in {"unix", *PORTS}:
        return True  # such as a pipe of Windows: the docker package says more
    # Not with the docker package, which leaks a socket if nobody answers.
    family, target = (
        (socket.AF_UNIX, engine.path)
        if engine.scheme == "unix"
        else (socket.AF_INET, (engine.hostname, engine.port or PORTS[engine.scheme]))
    )
    with socket.socket(family) as probe:
        probe.settimeout(ANSWER_LIMIT)
        try:
            probe.connect(target)
            if not _is_encrypted(engine):
                _ping(probe)
        except (OSError, HTTPException):
            return False
    return True


def _is_encrypted(engine: SplitResult) -> bool:
    return engine.scheme in {"ssh", "https"} or (engine.scheme == "tcp" and bool(os.environ.get("DOCKER_TLS_VERIFY")))


def _ping(connected: socket.socket) -> None:
    """What hangs accepts connections, too. Raises OSError, HTTPException."""
    connection = HTTPConnection("localhost")
    connection.sock = connected
    connection.request("GET", "/_ping")
    with connection.getresponse() as response:
        response.read()


@cache
def _why_no_images(engine: str, image: str, variable: str) -> str | None:
    from docker.errors import DockerException  # noqa: PLC0415 - 0.3 s
    from testcontainers.core.config import testcontainers_config as settings  # noqa: PLC0415 - 0.3 s

    needed = {image: f"{variable} to one that it has"}
    if not settings.ryuk_disabled:
        needed[settings.ryuk_image] = "TESTCONTAINERS_RYUK_DISABLED to true"
    try:
        with _client() as client:
            cannot = {each: why for each in needed if (why := _why_not(client, settings.hub_image_name_prefix + each))}
    except (DockerException, OSError) as error:  # a wrong certificate, an API that it doesn't speak, no answer in time
        return f"the Docker engine at {engine} doesn't serve testcontainers ({_said(error)})"
    if not cannot:
        return None
    return (
        f"the Docker engine at {engine} has no image {' and no '.join(cannot)}, and can't pull it "
        f"({next(iter(cannot.values()))}): load what is missing, or set {' and '.join(needed[each] for each in cannot)}"
    )


@contextmanager
def _client() -> "Iterator[DockerClient]":
    """As testcontainers makes it for a container: with its login, its address and its prefix."""
    from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415 - 0.3 s

    before = os.environ.get("DOCKER_HOST")
    client = DockerClient(timeout=REGISTRY_LIMIT)
    if before is None:  # it leaves there what it found in Docker's context, and a test would be blamed
        os.environ.pop("DOCKER_HOST", None)
    try:
        yield client
    finally:
        client.client.close()


def _why_not(client: "DockerClient", image: str) -> str | None:
    """Say in the engine's words why it can't have an image, or None."""
    from docker.errors import DockerException, ImageNotFound  # noqa: PLC0415 - 0.3 s

    engine: Any = client.client.api
    try:
        engine.inspect_image(image)
    except ImageNotFound:
        if _is_podman(engine):  # which can't ask a registry without pulling
            return None
        try:
            engine.inspect_distribution(image)
        except (DockerException, OSError) as error:
            return _said(error)
    return None


def _said(error: Exception) -> str:
    """Its first line."""
    said = str(getattr(error, "explanation", None) or error).splitlines()
    return said[0] if said else type(error).__name__


def _is_podman(engine: Any) -> bool:
    return any("Podman" in component.get("Name", "") for component in engine.version().get("Components") or ())
