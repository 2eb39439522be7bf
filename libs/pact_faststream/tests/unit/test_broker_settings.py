import os

import pytest
from pact_faststream.broker.settings import BrokerSettingError, load_settings

from ..broker_commands import set_only

URL = "https://broker.example/pact/"


def test_the_address_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    set_only(monkeypatch, dict(os.environ))

    with pytest.raises(BrokerSettingError, match="PACT_BROKER_BASE_URL is not set"):
        load_settings()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("broker.example", "PACT_BROKER_BASE_URL must begin with http"),
        ("https://ci:secret@broker.example", "PACT_BROKER_BASE_URL must hold no password"),
        ("https://broker.example/?token=secret", "PACT_BROKER_BASE_URL must end with the broker's path"),
        ("https://broker.example/#/overview", "PACT_BROKER_BASE_URL must end with the broker's path"),
    ],
)
def test_a_wrong_address_is_told_without_its_value(monkeypatch: pytest.MonkeyPatch, url: str, problem: str) -> None:
    set_only(monkeypatch, dict(os.environ), PACT_BROKER_BASE_URL=url)

    with pytest.raises(BrokerSettingError, match=problem) as told:
        load_settings()

    assert url not in str(told.value)


@pytest.mark.parametrize("name", ["PACT_BROKER_USERNAME", "PACT_BROKER_PASSWORD"])
def test_half_a_login_is_an_error_that_names_both_and_shows_neither(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    set_only(monkeypatch, dict(os.environ), PACT_BROKER_BASE_URL=URL, **{name: "hush"})

    with pytest.raises(BrokerSettingError, match="PACT_BROKER_USERNAME and PACT_BROKER_PASSWORD") as told:
        load_settings()

    assert "hush" not in str(told.value)


def test_a_token_wins_over_user_and_password(monkeypatch: pytest.MonkeyPatch) -> None:
    login = {"PACT_BROKER_USERNAME": "ci", "PACT_BROKER_PASSWORD": "secret"}
    set_only(monkeypatch, dict(os.environ), PACT_BROKER_BASE_URL=URL, PACT_BROKER_TOKEN="t", **login)

    settings = load_settings()

    assert (settings.token, settings.login) == ("t", None)
    assert settings.broker_base_url == "https://broker.example/pact"


def test_an_empty_variable_is_not_set_as_with_a_secret_that_ci_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    set_only(monkeypatch, dict(os.environ), PACT_BROKER_BASE_URL=URL, PACT_BROKER_TOKEN="", PACT_BROKER_USERNAME="")

    settings = load_settings()

    assert (settings.token, settings.login) == (None, None)


def test_a_line_break_at_the_end_does_not_count_as_with_a_secret_read_from_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_only(monkeypatch, dict(os.environ), PACT_BROKER_BASE_URL=f"{URL}\n", PACT_BROKER_TOKEN=" hush\r\n")

    settings = load_settings()

    assert (settings.broker_base_url, settings.token) == ("https://broker.example/pact", "hush")


@pytest.mark.parametrize("token", ["hush hush", "hush\nhush", "hüsh", "hush\x07h"])
def test_a_token_that_no_header_can_hold_is_told_and_not_shown(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    set_only(monkeypatch, dict(os.environ), PACT_BROKER_BASE_URL=URL, PACT_BROKER_TOKEN=token)

    with pytest.raises(BrokerSettingError) as told:
        load_settings()

    assert str(told.value) == "PACT_BROKER_TOKEN holds a space or another character that a token can't have"


def test_secrets_do_not_show_in_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    login = {"PACT_BROKER_USERNAME": "ci", "PACT_BROKER_PASSWORD": "hush"}
    set_only(monkeypatch, dict(os.environ), PACT_BROKER_BASE_URL=URL, PACT_BROKER_TOKEN="hush", **login)

    assert "hush" not in repr(load_settings())
