"""The payment gateway's client: its answers become charges, refunds and three kinds of error."""

import asyncio
import os
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from uuid import UUID

import httpx
from outboxed.errors import ConfigurationError
from outboxed.failpoints import failpoint
from outboxed.messages import ConsumedPrice
from outboxed.settings import HttpUrl, check_system_authorities
from outboxed.telemetry import http_call
from pydantic import BaseModel, TypeAdapter, ValidationError

from payments.domain import Charge
from payments.ports import GatewayCharge, GatewayUnavailableError, PaymentDeclinedError, ServiceTimeoutError

FINAL = {402: "card_declined", 409: "key_refunded"}
REFUSES_US = {401, 403, 407}
"""Nothing that a customer could mend, so no decline."""


class ChargeAnswer(BaseModel):
    id: str
    status: str


class RefundAnswer(BaseModel):
    refunded_charge: str | None


class ListedCharge(BaseModel):
    id: str
    idempotency_key: str
    amount: ConsumedPrice
    currency: str
    status: str


class ChargesAnswer(BaseModel):
    items: list[ListedCharge]


class ErrorDetail(BaseModel):
    code: str


class ErrorAnswer(BaseModel):
    error: ErrorDetail


M = TypeVar("M", bound=BaseModel)


def create_client(url: str, *, timeout: float) -> httpx.AsyncClient:
    """A client of the gateway at `url`, through the proxy and by the authorities that the environment names for it.

    httpx would also read what has nothing to do with this one URL, and end with a traceback on what it can't read.
    Raises ConfigurationError, which names the variable.
    """
    return httpx.AsyncClient(
        base_url=url, timeout=timeout, proxy=_proxy(url), verify=_authorities(url), trust_env=False
    )


def _proxy(url: str) -> str | None:
    """The proxy for the gateway; none for one on this machine, and none where NO_PROXY has its host."""
    parts = urlsplit(url)
    if _is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    kind = parts.scheme if parts.scheme in proxies else "all"
    if kind not in proxies:
        return None
    proxy = proxies[kind] if "://" in proxies[kind] else f"http://{proxies[kind]}"
    try:
        return TypeAdapter(HttpUrl).validate_python(proxy)
    except ValidationError:
        raise ConfigurationError(f"{_spelled(kind)}: must be a proxy's URL such as http://proxy:3128") from None


def _authorities(url: str) -> ssl.SSLContext:
    """Where no certificate will be asked for, none is trusted: reading the system's authorities takes a while."""
    if not url.startswith("https://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        check_system_authorities()
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    return httpx.create_ssl_context()


def _spelled(kind: str) -> str:
    """The variable as it is set: the lower case goes first."""
    variable = f"{kind}_proxy"
    return variable if variable in os.environ else variable.upper()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class HttpPaymentGateway:
    """See ports.PaymentGateway. `timeout` (seconds) is for a whole call; `client` knows the base URL."""

    def __init__(self, client: httpx.AsyncClient, *, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    @failpoint("gateway.charge")
    async def charge(self, charge: Charge, *, idempotency_key: UUID, reference: UUID) -> str:
        body = {
            "amount": f"{charge.amount:.2f}",
            "currency": charge.currency,
            "payment_method": charge.payment_method,
            "reference": str(reference),
        }
        headers = {"Idempotency-Key": str(idempotency_key)}
        response = await self._call("POST", "/v1/charges", json=body, headers=headers)
        if response.status_code in FINAL:
            raise PaymentDeclinedError(_refusal(response))
        answer = _parsed(_expected(response, 201), ChargeAnswer)
        if answer.status != "succeeded":
            raise GatewayUnavailableError(f"the gateway answered a charge with status {answer.status!r}")
        return answer.id

    @failpoint("gateway.refund")
    async def refund(self, *, idempotency_key: str) -> str | None:
        response = await self._call("POST", "/v1/refunds", json={"idempotency_key": idempotency_key})
        return _parsed(_expected(response, 200), RefundAnswer).refunded_charge

    @failpoint("gateway.charges")
    async def charges(self, *, reference: UUID) -> Sequence[GatewayCharge]:
        response = await self._call("GET", "/v1/charges", params={"reference": str(reference)})
        items = _parsed(_expected(response, 200), ChargesAnswer).items
        return [GatewayCharge(**vars(item)) for item in items]

    async def _call(self, method: str, path: str, **content: Any) -> httpx.Response:
        request = self._client.build_request(method, path, **content)
        with http_call("payment gateway", method, str(request.url), template=path) as call:
            request.headers.update(call.headers)
            response = await self._send(request)
            call.answered(response.status_code)
            return response

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            # httpx's own limits are for single reads and writes: an answer that trickles would never end
            async with asyncio.timeout(self._timeout):
                return await self._client.send(request)
        except (TimeoutError, httpx.TimeoutException):
            raise ServiceTimeoutError(f"no answer from the gateway within {self._timeout:g} s") from None
        except httpx.HTTPError as error:
            raise GatewayUnavailableError(f"the gateway can't be reached: {type(error).__name__}") from None


def _refusal(response: httpx.Response) -> str:
    """The gateway's code; its no is final even where its words can't be read."""
    try:
        return ErrorAnswer.model_validate_json(response.content).error.code
    except ValidationError:
        return FINAL[response.status_code]


def _expected(response: httpx.Response, status: int) -> httpx.Response:
    if response.status_code == status:
        return response
    text = f"the gateway answered with status {response.status_code}"
    if response.status_code in REFUSES_US:
        text += ": it takes nothing from us until PAYMENTS_GATEWAY_URL, a proxy or our rights there are mended"
    raise GatewayUnavailableError(text, retry_after=_retry_after(response))


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds; the header's other form, a date, is left to our own back-off."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


def _parsed(response: httpx.Response, model: type[M]) -> M:
    try:
        return model.model_validate_json(response.content)
    except ValidationError:
        raise GatewayUnavailableError("the gateway's answer makes no sense") from None
