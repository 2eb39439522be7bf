"""What a service's figures say now: one that it doesn't know is told from one that is 0."""

import pytest
from httpx import AsyncClient, MockTransport, Request, Response
from shop_console.catalogue import Catalogue, Described
from shop_console.flow import State, states

PLAIN = ("consumer_lag", "outbox_rows", "outbox_oldest_seconds", "outbox_held_rows", "kafka_lost_seconds")
LABELLED = ('tasks_due{kind="a"}', 'tasks_oldest_due_seconds{kind="a"}', 'dead_letters{source="event"}')


async def state_of(exposition: str) -> State:
    """What is told of a service that answers `/metrics` so."""

    def answer(request: Request) -> Response:
        return Response(200, text=exposition if request.url.path == "/metrics" else "{}")

    async with AsyncClient(transport=MockTransport(answer)) as http:
        [state] = await states(http, Catalogue({"orders": Described("orders", "http://orders")}))
    return state


def every_figure(value: str) -> str:
    return "".join(f"{sample} {value}\n" for sample in (*PLAIN, *LABELLED))


@pytest.mark.parametrize("exposition", [every_figure("NaN"), ""], ids=["NaN", "not there"])
async def test_no_figure_is_known_that_a_service_does_not_know_itself(exposition: str) -> None:
    """While its database is away they are NaN."""
    state = await state_of(exposition)

    assert state == State("orders", "")


async def test_a_figure_of_0_is_known() -> None:
    state = await state_of(every_figure("0"))

    figures = (state.lag, state.outbox, state.outbox_oldest, state.held, state.kafka_lost, state.oldest_task)
    assert figures == (0,) * len(figures)
    assert (state.tasks, state.letters) == ({"a": 0}, {"event": 0})
