from pathlib import Path

from shop_demo.__main__ import curl_script
from shop_harness.system import Ports

PAGE = Path(__file__).parents[3] / "docs" / "start" / "run-it.md"


def test_the_page_shows_the_same_commands_as_make_up() -> None:
    assert curl_script(Ports.usual()) in PAGE.read_text()
