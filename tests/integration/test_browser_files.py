"""What our pages load in a browser: what is committed is what npm has, and another file is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from backing_services.plugin import not_available

from tools.browser_files import FetchError, content_of, packages
from tools.uv import ROOT


@pytest.fixture(autouse=True)
def npm() -> None:
    if shutil.which("npm") is None:
        not_available("node", "npm is not installed")


@pytest.mark.parametrize("name", ["swagger-ui-dist", "@asyncapi/react-component", "htmx.org", "htmx-ext-sse"])
def test_what_our_programs_serve_is_what_npm_has(name: str, tmp_path: Path) -> None:
    package = packages()[name]

    package.fetch(tmp_path)

    for place in package.files.values():
        assert content_of(ROOT / place) == content_of(tmp_path / place), f"{place}: run `make browser-files`"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"integrity": "sha512-x"}, "iframe-worker 1.0.4 has the sum sha512-roeaaI.*, not that of pins.toml"),
        (
            {"files": {"shim/indes.js": Path("x")}},
            "pins.toml names shim/indes.js, which isn't in iframe-worker-1.0.4.tgz",
        ),
        ({"version": "0.9.77"}, "npm can't fetch iframe-worker 0.9.77: .*"),
    ],
    ids=["another sum", "a file that isn't there", "a version that isn't there"],
)
def test_what_is_not_as_pinned_is_refused_in_one_line(change: dict[str, object], message: str, tmp_path: Path) -> None:
    pinned = packages()["iframe-worker"]

    with pytest.raises(FetchError, match=rf"\A{message}\Z"):
        replace(pinned, **change).fetch(tmp_path)  # type: ignore[arg-type]  # one of several fields

    assert not list(tmp_path.iterdir())
