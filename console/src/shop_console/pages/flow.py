"""The services, topics, lag, outboxes, tasks due and dead letters as a picture and tables; the contracts as another."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response

from shop_console import contracts, flow
from shop_console.needs import Needs, Operator, Wanted

router = APIRouter()


@router.get("/flow")
async def page(needs: Wanted, session: Operator) -> Response:
    return needs.page("flow.html", session, **await _flow(needs), **await _contracts(needs))


@router.get("/flow/now")
async def now(needs: Wanted, session: Operator) -> Response:
    return needs.page("flow_now.html", session, **await _flow(needs))


@router.get("/flow/contracts")
async def kept(needs: Wanted, session: Operator) -> Response:
    return needs.page("flow_contracts.html", session, **await _contracts(needs))


async def _contracts(needs: Needs) -> dict[str, Any]:
    told = await needs.teller.contracts.told()
    return {"told": told, "depends": contracts.picture(told.contracts)}


async def _flow(needs: Needs) -> dict[str, Any]:
    teller = needs.teller
    events = flow.events(teller.catalogue, teller.index, datetime.now(UTC))
    asked = [name for name in teller.settings.services if name not in teller.catalogue.services]
    return {
        "states": await flow.states(teller.http, teller.catalogue),
        "unknown": asked,
        "events": events,
        "picture": flow.picture(teller.catalogue, events),
        "problem": teller.follower.problem,
        "at": datetime.now(UTC),
    }
