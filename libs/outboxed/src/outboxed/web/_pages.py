"""The pages of a service that people read in a browser: /docs and /asyncapi. They load nothing from elsewhere."""

import gzip
from html import escape
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

FILES = {
    "swagger-ui.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "asyncapi.js": "text/javascript",
    "asyncapi.css": "text/css",
}
"""What `browser/` has, packed with gzip; `make browser-files` fetches it."""
NO_ICON = "data:,"
KEPT_BY_BROWSERS = "max-age=3600"
PATHS = ("/docs", "/asyncapi", *(f"/docs/{name}" for name in FILES))

ASYNCAPI_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: events</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/asyncapi.css">
<style>
body {{ margin: 0; background: white; font-family: system-ui, sans-serif; line-height: 1.5 }}
#asyncapi * {{ overflow-wrap: anywhere; min-width: 0 }}
</style>
</head>
<body>
<div id="asyncapi"></div>
<script src="docs/asyncapi.js"></script>
<script>
AsyncApiStandalone.render(
  {{schema: {{url: "asyncapi.json"}}, config: {{show: {{sidebar: true, errors: true}}}}}},
  document.getElementById("asyncapi")
)
</script>
</body>
</html>
"""


def pages_router(title: str) -> APIRouter:
    """Routes at the root of a service. Their links are relative, so that a proxy may put a prefix before them."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @router.get("/docs")
    async def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{title}: API",
            swagger_js_url="docs/swagger-ui.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url=NO_ICON,
        )

    @router.get("/asyncapi")
    async def asyncapi() -> str:
        return ASYNCAPI_PAGE.format(title=escape(title))

    for name, media_type in FILES.items():
        router.add_api_route(f"/docs/{name}", _File(name, media_type).answer)

    return router


class _File:
    """A file of the package, which stays packed on its way to whoever can unpack it."""

    def __init__(self, name: str, media_type: str) -> None:
        self._packed = files("outboxed.web") / "browser" / f"{name}.gz"
        self._media_type = media_type

    async def answer(self, request: Request) -> Response:
        content, headers = self._packed.read_bytes(), {"Cache-Control": KEPT_BY_BROWSERS, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
        else:
            content = gzip.decompress(content)
        return Response(content, media_type=self._media_type, headers=headers)
