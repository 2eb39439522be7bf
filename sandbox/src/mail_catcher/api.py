"""The HTTP side: Mailpit's API, as far as tests need it, and the faults."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import FastAPI, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, Field

from mail_catcher import views
from mail_catcher.faults import Fault, Faults
from mail_catcher.search import parse
from mail_catcher.store import Store

Start = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=0)]


class FaultList(BaseModel):
    faults: list[Fault]


class Deletion(BaseModel):
    ids: Annotated[list[str], Field(alias="IDs")] = []


def create_app(store: Store, faults: Faults) -> FastAPI:
    api = _Api(store, faults)
    app = FastAPI(title="Mail catcher (sandbox)")
    app.get("/api/v1/messages")(api.messages)
    app.delete("/api/v1/messages")(api.delete_messages)
    app.get("/api/v1/search")(api.search)
    app.get("/api/v1/message/{message_id}")(api.message)
    app.put("/_faults")(api.replace_faults)
    app.get("/livez")(api.health)
    app.get("/readyz")(api.health)
    return app


@dataclass(frozen=True)
class _Api:
    store: Store
    faults: Faults

    async def messages(self, start: Start = 0, limit: Limit = 50) -> Response:
        return JSONResponse(views.page(self.store, self.store, start, limit))

    async def search(self, query: str = "", start: Start = 0, limit: Limit = 50) -> Response:
        if not query.strip():
            return PlainTextResponse("Error: no search query", 400)
        terms = parse(query)
        matching = (message for message in self.store if all(term.holds(message) for term in terms))
        return JSONResponse(views.page(self.store, matching, start, limit))

    async def message(self, message_id: str) -> Response:
        """Show one message and mark it as read, as Mailpit does."""
        message = self.store.get(message_id)
        if message is None:
            return PlainTextResponse("Error: message not found", 404)
        self.store.mark_read(message)
        return JSONResponse(views.detail(message))

    async def delete_messages(self, body: Deletion | None = None) -> Response:
        """Delete the messages that the body names; without any, all of them."""
        if body is None or not body.ids:
            self.store.clear()
        else:
            for message_id in body.ids:
                self.store.delete(message_id)
        return PlainTextResponse("ok")

    async def replace_faults(self, body: FaultList) -> FaultList:
        self.faults.replace(body.faults)
        return body

    async def health(self) -> Response:
        return PlainTextResponse("ok")
