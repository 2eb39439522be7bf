"""Whether a service of the other builds answers."""

from fastapi import APIRouter

health = APIRouter()


@health.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "ok"}
