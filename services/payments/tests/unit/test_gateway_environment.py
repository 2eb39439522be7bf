"""The environment's proxies and authorities: used for the gateway if they concern it, else without any effect."""

import os
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from outboxed.errors import ConfigurationError
from outboxed.testing.fixtures import certificate
from payments.gateway import create_client

__all__ = ["certificate"]

FAR = "http://gateway.example:8090"
SetEnvironment = Callable[[dict[str, str]], None]
NAMES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> SetEnvironment:
    """Sets these variables and no other of NAMES."""
    for name in (*NAMES, *map(str.lower, NAMES)):
        monkeypatch.delenv(name, raising=False)

    def set_all(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What httpx is given for each client."""
    options: list[dict[str, object]] = []
    monkeypatch.setattr(httpx, "AsyncClient", lambda **given: options.append(given))
    return options


# slime#1714, vibe-seller#111: a proxy came between a program and its neighbour
@pytest.mark.parametrize(
    "variables",
    [
        {"NO_PROXY": "localhost,[::1]"},
        {"NO_PROXY": "fd00::/8"},
        {"ALL_PROXY": "socks5://x:1"},
        {"HTTP_PROXY": "http://127.0.0.1:9"},
        {"HTTP_PROXY": "no url at all:"},
        {"SSL_CERT_FILE": "/no/such"},
        {"SSL_CERT_DIR": "/no/such"},
    ],
)
@pytest.mark.parametrize("url", ["http://127.0.0.1:8090", "http://localhost:8090", "http://[::1]:8090"])
async def test_a_gateway_on_this_machine_is_called_directly_whatever_the_environment_says(
    environment: SetEnvironment, variables: dict[str, str], url: str
) -> None:
    environment(variables)

    client = create_client(url, timeout=1)

    assert not [mount for mount in client._mounts.values() if mount]  # noqa: SLF001 - httpx tells its proxies nowhere
    await client.aclose()


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, FAR, None),
        ({"HTTP_PROXY": "http://proxy:3128"}, FAR, "http://proxy:3128"),
        ({"http_proxy": "proxy:3128"}, FAR, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, FAR, None),
        ({"ALL_PROXY": "http://proxy:3128"}, FAR, "http://proxy:3128"),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://own:1"}, "https://gateway.example", "http://own:1"),
        ({"ALL_PROXY": "socks5://x:1", "HTTP_PROXY": "http://proxy:3128"}, FAR, "http://proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "[::1],.example"}, FAR, None),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "gateway.example:8090"}, FAR, None),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, FAR, None),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "other.test,fd00::/8,[::1]"}, FAR, "http://proxy:3128"),
    ],
)
def test_a_far_gateway_is_called_through_the_proxy_that_the_environment_has_for_it(
    environment: SetEnvironment, built: list[dict[str, object]], variables: dict[str, str], url: str, proxy: str | None
) -> None:
    environment(variables)

    create_client(url, timeout=1)

    assert [(options["proxy"], options["trust_env"]) for options in built] == [(proxy, False)]


# httpx#3574, orbstack#2456, basic-memory#1541: the start ended with InvalidURL, ImportError or FileNotFoundError
@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"ALL_PROXY": "socks5://x:1"}, "ALL_PROXY: must be a proxy's URL such as http://proxy:3128"),
        ({"HTTPS_PROXY": "http://x:y"}, "HTTPS_PROXY: must be a proxy's URL such as http://proxy:3128"),
        ({"https_proxy": "//"}, "https_proxy: must be a proxy's URL such as http://proxy:3128"),
        ({"SSL_CERT_FILE": "/no/such"}, "SSL_CERT_FILE: can't be read: No such file or directory"),
        ({"SSL_CERT_FILE": __file__}, "SSL_CERT_FILE: holds no certificate in PEM"),
        ({"SSL_CERT_DIR": "/no/such"}, "SSL_CERT_DIR: is no folder"),
    ],
)
def test_what_can_not_be_used_for_a_far_gateway_is_one_line_that_names_the_variable(
    environment: SetEnvironment, variables: dict[str, str], line: str
) -> None:
    environment(variables)

    with pytest.raises(ConfigurationError) as refused:
        create_client("https://gateway.example", timeout=1)

    assert str(refused.value) == line


def test_the_environments_authorities_are_those_of_a_far_gateway(
    environment: SetEnvironment, built: list[dict[str, object]], certificate: tuple[Path, Path]
) -> None:
    environment({"SSL_CERT_FILE": os.fspath(certificate[0])})

    create_client("https://gateway.example", timeout=1)

    [context] = [options["verify"] for options in built]
    assert isinstance(context, ssl.SSLContext)
    assert len(context.get_ca_certs()) == 1


def test_a_gateway_without_tls_needs_no_authorities_and_trusts_none(
    environment: SetEnvironment, built: list[dict[str, object]]
) -> None:
    environment({})

    create_client(FAR, timeout=1)

    [context] = [options["verify"] for options in built]
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname, context.get_ca_certs()) == (ssl.CERT_REQUIRED, True, [])


async def test_the_client_goes_nowhere_else_than_its_url() -> None:
    """A charge that is sent on becomes a look at a page, or tells a stranger what was to be charged."""
    client = create_client(FAR, timeout=1)

    assert client.follow_redirects is False
    await client.aclose()
