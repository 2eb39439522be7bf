"""The services, topics, lag, outboxes, tasks due and dead letters, as one picture and as tables."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response

from shop_console import flow
from shop_console.needs import Needs, Operator, Wanted

router = APIRouter()


@router.get("/flow")
async def page(needs: Wanted, session: Operator) -> Response:
    return needs.page("flow.html", session, **await _flow(needs))


@router.get("/flow/now")
async def now(needs: Wanted, session: Operator) -> Response:
    return needs.page("flow_now.html", session, **await _flow(needs))


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
