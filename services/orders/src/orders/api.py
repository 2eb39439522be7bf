"""HTTP -> handler."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.security import OAuth2PasswordRequestForm
from outboxed.ports import UnitOfWorkFactory
from outboxed.telemetry import add_log_fields
from outboxed.web import ApiError, Caller, ErrorResponse, Principal, not_found, unauthenticated, with_role

from orders import handlers, queries
from orders.domain import EmailTakenError, Order, OrderNotFoundError, UnknownSkuError, UserNotFoundError, UserRole
from orders.handlers import OrderPolicy, PlaceOrder, RegisterUser
from orders.idempotency import Answer, IdempotentRequest
from orders.ports import PageKey, PasswordHasher, StoredResponse, UnitOfWork
from orders.rate_limit import RateLimiter
from orders.schemas import (
    MembershipRequest,
    OrderResponse,
    OrdersResponse,
    PlaceOrderRequest,
    ProductResponse,
    ProductsResponse,
    RegisterUserRequest,
    TokenResponse,
    UserResponse,
)
from orders.tokens import TokenIssuer

PREFIX = "/api/v1"
Responses = dict[int | str, dict[str, Any]]
UNAUTHENTICATED: Responses = {401: {"model": ErrorResponse}}
NOT_FOUND: Responses = {**UNAUTHENTICATED, 404: {"model": ErrorResponse}}


@dataclass(frozen=True)
class Dependencies:
    """What the calls need; a test overrides `dependencies` with its own."""

    unit_of_work: UnitOfWorkFactory[UnitOfWork]
    policy: OrderPolicy
    passwords: PasswordHasher
    tokens: TokenIssuer
    rate_limiter: RateLimiter


async def dependencies(request: Request) -> Dependencies:
    """The composition root put them into the app's state."""
    provided: Dependencies = request.app.state.dependencies
    return provided


Operator = Annotated[Principal, with_role(UserRole.OPERATOR)]
Needs = Annotated[Dependencies, Depends(dependencies)]
IdempotencyKey = Annotated[
    str, Header(alias="Idempotency-Key", min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+$")
]
router = APIRouter(prefix=PREFIX)


@router.post("/users", status_code=201, tags=["users"], responses={409: {"model": ErrorResponse}})
async def register_user(body: RegisterUserRequest, request: Request, needs: Needs) -> UserResponse:
    await needs.rate_limiter.check("register_user", _address(request))
    password_hash = await needs.passwords.hash(body.password)
    command = RegisterUser(email=body.email, name=body.name, password_hash=password_hash)
    try:
        async with needs.unit_of_work() as uow:
            return UserResponse.of(await handlers.register_user(command, uow))
    except EmailTakenError:
        raise ApiError(409, "CONFLICT", "this e-mail address has an account") from None


@router.get("/users/{user_id}", tags=["users"], responses=NOT_FOUND)
async def get_user(user_id: str, caller: Caller, needs: Needs) -> UserResponse:
    wanted = _uuid(user_id, "user")
    if _only_own(caller) not in {None, wanted}:
        raise not_found("user")
    try:
        async with needs.unit_of_work(reading=True) as uow:
            return UserResponse.of(await queries.user(wanted, uow))
    except UserNotFoundError:
        raise not_found("user") from None


@router.put("/users/{user_id}/membership", tags=["users"], responses={**NOT_FOUND, 403: {"model": ErrorResponse}})
async def set_membership(user_id: str, body: MembershipRequest, _: Operator, needs: Needs) -> UserResponse:
    wanted = _uuid(user_id, "user")
    try:
        async with needs.unit_of_work() as uow:
            return UserResponse.of(await handlers.set_membership(wanted, uow, is_member=body.is_member))
    except UserNotFoundError:
        raise not_found("user") from None


@router.post("/tokens", tags=["users"], responses=UNAUTHENTICATED)
async def create_token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], request: Request, response: Response, needs: Needs
) -> TokenResponse:
    await needs.rate_limiter.check("create_token", _address(request))
    # no address has a NUL, and PostgreSQL refuses it in a text
    email = form.username.replace("\0", "\N{REPLACEMENT CHARACTER}")
    user = await handlers.authenticate(email, form.password, needs.unit_of_work, needs.passwords)
    if user is None:
        raise unauthenticated("wrong e-mail address or password")
    token = needs.tokens.issue(user)
    response.headers["Cache-Control"] = "no-store"
    return TokenResponse(access_token=token.access_token, expires_in=token.expires_in)


@router.get("/products", tags=["products"])
async def list_products(needs: Needs) -> ProductsResponse:
    async with needs.unit_of_work(reading=True) as uow:
        return ProductsResponse(items=[ProductResponse.of(product) for product in await queries.products(uow)])


@router.post("/orders", status_code=201, response_model=OrderResponse, tags=["orders"], responses=UNAUTHENTICATED)
async def place_order(body: PlaceOrderRequest, key: IdempotencyKey, caller: Caller, needs: Needs) -> Response:
    command = PlaceOrder(caller.user_id, body.quantities, body.payment_method)

    async def place(uow: UnitOfWork) -> Answer:
        order = await handlers.place_order(command, uow, needs.policy)
        return Answer(201, _json(order), f"{PREFIX}/orders/{order.id}")

    try:
        answer, replayed = await IdempotentRequest(caller.user_id, key, body).answer(needs.unit_of_work, place)
    except UnknownSkuError as error:
        details = [{"field": f"body.items.{_index(body, sku)}.sku", "message": "unknown sku"} for sku in error.skus]
        raise ApiError(422, "UNKNOWN_SKU", str(error), details=details) from None
    except UserNotFoundError:
        raise unauthenticated("the token's user does not exist") from None
    add_log_fields(order_id=answer.location.rpartition("/")[2])  # of a twin, the one that was placed
    return _response(answer, replayed=replayed)


@router.get("/orders/{order_id}", tags=["orders"], responses=NOT_FOUND)
async def get_order(order_id: str, caller: Caller, needs: Needs) -> OrderResponse:
    wanted = _uuid(order_id, "order")
    try:
        async with needs.unit_of_work(reading=True) as uow:
            return OrderResponse.of(await queries.order(wanted, uow, user_id=_only_own(caller)))
    except OrderNotFoundError:
        raise not_found("order") from None


@router.get("/orders", tags=["orders"], responses=UNAUTHENTICATED)
async def list_orders(
    caller: Caller, needs: Needs, cursor: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> OrdersResponse:
    after = _page_key(cursor) if cursor is not None else None
    async with needs.unit_of_work(reading=True) as uow:
        page = await queries.orders(caller.user_id, uow, after=after, limit=limit)
    items = [OrderResponse.of(order) for order in page.orders]
    return OrdersResponse(items=items, next_cursor=_cursor(page.orders[-1]) if page.more else None)


@router.post("/orders/{order_id}/cancel", tags=["orders"], responses=NOT_FOUND)
async def cancel_order(order_id: str, caller: Caller, needs: Needs) -> OrderResponse:
    wanted = _uuid(order_id, "order")
    try:
        async with needs.unit_of_work() as uow:
            order = await handlers.cancel_order(wanted, uow, user_id=_only_own(caller))
    except OrderNotFoundError:
        raise not_found("order") from None
    return OrderResponse.of(order)


def _only_own(caller: Caller) -> UUID | None:
    """Whose things the caller may see and change: None is everybody's."""
    return None if caller.role == UserRole.OPERATOR else caller.user_id


def _json(order: Order) -> str:
    return OrderResponse.of(order).model_dump_json()


def _response(answer: StoredResponse, *, replayed: bool) -> Response:
    headers = {"Location": answer.location}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(answer.body, status_code=answer.status, media_type="application/json", headers=headers)


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _uuid(value: str, what: str) -> UUID:
    try:
        found = UUID(value)
    except ValueError:
        raise not_found(what) from None
    add_log_fields(**{f"{what}_id": str(found)})
    return found


def _index(body: PlaceOrderRequest, sku: str) -> int:
    return [item.sku for item in body.items].index(sku)


def _cursor(order: Order) -> str:
    return base64.urlsafe_b64encode(f"{order.placed_at.isoformat()} {order.id}".encode()).decode()


def _page_key(cursor: str) -> PageKey:
    try:
        placed_at, order_id = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
        return PageKey(datetime.fromisoformat(placed_at).astimezone(UTC), UUID(order_id))
    except (ValueError, OverflowError, binascii.Error):
        details = [{"field": "query.cursor", "message": "not a cursor of this list"}]
        raise ApiError(422, "VALIDATION_ERROR", "the request is not valid", details=details) from None
