"""Break it: begin a fault and watch the recovery. Only where the system offers it, which production never does."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, HTTPException, Response
from fastapi.responses import RedirectResponse

from shop_console.breaking import Breaker, BreakError
from shop_console.needs import Changing, Operator, Wanted

log = structlog.get_logger()
router = APIRouter()


async def breaker(needs: Wanted) -> Breaker:
    if needs.breaker is None:
        raise HTTPException(404, "nothing can be broken here")
    return needs.breaker


Breaks = Annotated[Breaker, Depends(breaker)]


@router.get("/break")
async def page(needs: Wanted, session: Operator, breaks: Breaks) -> Response:
    return await _page(needs, session, breaks)


@router.get("/break/now")
async def now(needs: Wanted, session: Operator, breaks: Breaks) -> Response:
    return needs.page("break_now.html", session, watches=breaks.watches)


@router.post("/break/{name}")
async def begin(name: str, needs: Wanted, session: Changing, breaks: Breaks) -> Response:
    try:
        await breaks.begin(name, by=session.email)
    except BreakError as error:
        return await _page(needs, session, breaks, problem=str(error), code=409)
    log.warning("broken_on_purpose", fault=name, operator=session.email)
    return RedirectResponse("/break", 303)


async def _page(needs: Wanted, session: Operator, breaks: Breaks, *, problem: str = "", code: int = 200) -> Response:
    try:
        offered = await breaks.offered()
    except BreakError as error:
        offered, problem = {}, problem or str(error)
    return needs.page("break.html", session, code=code, offered=offered, watches=breaks.watches, problem=problem)
