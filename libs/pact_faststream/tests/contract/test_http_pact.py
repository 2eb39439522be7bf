"""Contracts over HTTP: what the client sends and reads, and how a provider that can't keep it is told."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pact.error import MismatchesError
from pact_faststream import (
    ExpectationError,
    HttpExpectation,
    HttpPact,
    PactFolder,
    ProviderVerificationError,
    Request,
    Response,
    StalePactError,
    verify_http_provider,
)
from pact_faststream.sources import PactToVerify, Result
from pydantic import BaseModel


class Weight(BaseModel):
    grams: int


WEIGHED = HttpExpectation(
    "the weight of a parcel",
    Request("GET", "/parcels/7", headers={"Accept": "application/json"}, query={"unit": "g"}),
    Response(200, Weight(grams=3)),
    given="a parcel exists",
    parameters={"number": 7},
)
PACT = HttpPact("reception", "scales", (WEIGHED,))


@pytest.fixture
def pacts(tmp_path: Path) -> Path:
    PACT.file(tmp_path).check(write=True)
    return tmp_path


async def asked(url: str, **query: str) -> Any:
    async with httpx.AsyncClient(base_url=url, headers={"Accept": "application/json"}) as client:
        return (await client.get("/parcels/7", params=query)).json()


def scales(grams: Any = 900) -> FastAPI:
    app = FastAPI()

    @app.get("/parcels/{number}")
    async def weigh(number: int) -> Any:
        return {"grams": grams, "number": number}

    return app


async def exists(number: int) -> None:
    assert number == 7


async def test_the_client_gets_the_expected_answer() -> None:
    with PACT.served("the weight of a parcel") as url:
        assert await asked(url, unit="g") == {"grams": 3}


async def test_a_client_that_asks_for_something_else_fails_the_test() -> None:
    with pytest.raises(MismatchesError, match="unit"), PACT.served("the weight of a parcel") as url:
        await asked(url, unit="kg")


def test_a_client_that_asks_for_nothing_fails_the_test() -> None:
    with pytest.raises(MismatchesError, match="Missing"), PACT.served("the weight of a parcel"):
        pass


def test_an_expectation_that_nobody_stated_is_an_error() -> None:
    with pytest.raises(LookupError, match="reception has no expectation 'the colour'"), PACT.served("the colour"):
        pass


def test_two_expectations_of_one_description_are_an_error() -> None:
    with pytest.raises(ExpectationError, match=r"^reception expects 'the weight of a parcel' of scales twice: "):
        HttpPact("reception", "scales", (WEIGHED, replace(WEIGHED, given="another state")))


def test_a_stale_pact_file_is_an_error(pacts: Path) -> None:
    with pytest.raises(StalePactError):
        HttpPact("reception", "scales", ()).file(pacts).check(write=False)


async def test_a_provider_that_keeps_the_contract_passes(pacts: Path) -> None:
    assert await verify_http_provider("scales", PactFolder(pacts), scales(), {"a parcel exists": exists})


async def test_a_provider_that_breaks_the_contract_is_told_where(pacts: Path) -> None:
    with pytest.raises(ProviderVerificationError, match=r"\$\.grams"):
        await verify_http_provider("scales", PactFolder(pacts), scales("heavy"), {"a parcel exists": exists})


async def test_a_state_that_nobody_arranges_is_an_error(pacts: Path) -> None:
    with pytest.raises(ProviderVerificationError, match="nobody arranges the provider state 'a parcel exists'"):
        await verify_http_provider("scales", PactFolder(pacts), scales(), {})


async def test_a_state_that_cannot_be_arranged_is_an_error_at_once(pacts: Path) -> None:
    async def lost(number: int) -> None:
        raise KeyError(number)

    with pytest.raises(ProviderVerificationError, match="'a parcel exists': KeyError: 7"):
        await verify_http_provider("scales", PactFolder(pacts), scales(), {"a parcel exists": lost})


async def test_a_state_that_failed_for_one_consumer_may_go_well_for_the_next_one(pacts: Path) -> None:
    HttpPact("office", "scales", (WEIGHED,)).file(pacts).check(write=True)
    kept: dict[str, bool] = {}
    failures = [KeyError("once")]

    class Source(PactFolder):
        def keep(self, pact: PactToVerify, results: Sequence[Result]) -> None:
            kept[pact.origin] = all(result.ok for result in results)

    async def exists_from_the_second_time_on(number: int) -> None:
        await exists(number)
        if failures:
            raise failures.pop()

    with pytest.raises(ProviderVerificationError):
        await verify_http_provider(
            "scales", Source(pacts), scales(), {"a parcel exists": exists_from_the_second_time_on}
        )
    assert kept == {"office-scales.json": False, "reception-scales.json": True}


async def test_a_value_that_was_asked_for_has_to_come_back(tmp_path: Path) -> None:
    asked = replace(WEIGHED, response=Response(200, Weight(grams=3), asked=["$.grams"]))
    HttpPact("reception", "scales", (asked,)).file(tmp_path).check(write=True)

    assert await verify_http_provider("scales", PactFolder(tmp_path), scales(3), {"a parcel exists": exists})
    with pytest.raises(ProviderVerificationError, match=r"\$\.grams"):
        await verify_http_provider("scales", PactFolder(tmp_path), scales(900), {"a parcel exists": exists})


def test_a_value_that_the_answer_does_not_have_can_not_be_asked_for() -> None:
    with pytest.raises(LookupError, match=r"the body has no \$\.colour, only \$\.grams"):
        assert not Response(200, Weight(grams=3), asked=["$.colour"]).matching_rules
