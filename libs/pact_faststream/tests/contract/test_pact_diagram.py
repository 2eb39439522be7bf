"""The drawing of who depends on whom."""

import json
import sys
from pathlib import Path

import pytest
from pact_faststream import diagram

PAGE = f"# Contracts\n\n{diagram.BEGIN}\nas it was\n{diagram.END}\n\nMore.\n"


@pytest.fixture
def pacts(tmp_path: Path) -> Path:
    message = {"metadata": {"ce_type": "parcel.shipped.v1"}}
    request = {"request": {"method": "POST", "path": "/v1/charges"}}
    for provider, interactions in {"warehouse": [message, message], "bank": [request]}.items():
        pact = {"consumer": {"name": "reception"}, "provider": {"name": provider}, "interactions": interactions}
        (tmp_path / f"reception-{provider}.json").write_text(json.dumps(pact))
    return tmp_path


def test_an_arrow_leads_from_each_consumer_to_its_provider_and_says_what_is_expected(pacts: Path) -> None:
    assert diagram.diagram(pacts).splitlines() == [
        "```mermaid",
        "flowchart LR",
        '    reception -- "POST /v1/charges" --> bank',
        '    reception -- "parcel.shipped.v1" --> warehouse',
        "```",
    ]


def test_a_page_keeps_all_but_its_drawing(pacts: Path) -> None:
    page = diagram.with_diagram(PAGE, pacts)

    assert page == PAGE.replace("as it was\n", diagram.diagram(pacts))
    assert diagram.with_diagram(page, pacts) == page


@pytest.mark.parametrize(("page", "says"), [("# no place", "between which the drawing goes"), (PAGE, "no pact file")])
def test_without_a_place_or_without_pacts_it_is_one_clear_line_and_the_page_stays(
    page: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "README.md"
    path.write_text(page)
    monkeypatch.setattr(sys, "argv", ["diagram", str(path), "--pacts", str(tmp_path)])

    with pytest.raises(SystemExit) as ended:
        diagram.main()

    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert says in line
    assert path.read_text() == page
