"""What the pages load: htmx, its extension for events, and our own style and script."""

from importlib.resources import files

from fastapi import APIRouter, HTTPException, Response

router = APIRouter()
KEPT_BY_BROWSERS = "max-age=3600"
FILES = {
    "htmx.js": "text/javascript",
    "htmx-sse.js": "text/javascript",
    "console.js": "text/javascript",
    "console.css": "text/css",
}


@router.get("/static/{name}")
async def static(name: str) -> Response:
    if name not in FILES:
        raise HTTPException(404)
    content = (files("shop_console") / "static" / name).read_bytes()
    return Response(content, media_type=FILES[name], headers={"Cache-Control": KEPT_BY_BROWSERS})
