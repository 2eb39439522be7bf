"""HTTP: one error shape, authentication, health and metrics."""

from outboxed._extras import extra

with extra("http", of="outboxed.web"):
    from outboxed.web._authentication import ALGORITHM, InvalidTokenError, Principal, TokenVerifier
    from outboxed.web._dead_letters import dead_letters_router
    from outboxed.web._health import Health
    from outboxed.web._http import (
        ApiError,
        Caller,
        ErrorResponse,
        create_http_app,
        forbidden,
        not_found,
        unauthenticated,
        with_role,
    )
    from outboxed.web._operations import Encode, operations_router
    from outboxed.web._operators import OPERATOR, operators_router

__all__ = [
    "ALGORITHM",
    "OPERATOR",
    "ApiError",
    "Caller",
    "Encode",
    "ErrorResponse",
    "Health",
    "InvalidTokenError",
    "Principal",
    "TokenVerifier",
    "create_http_app",
    "dead_letters_router",
    "forbidden",
    "not_found",
    "operations_router",
    "operators_router",
    "unauthenticated",
    "with_role",
]
