"""contracts/README.md shows who depends on whom, as the pact files say it."""

from pathlib import Path

from asyncapi_gate.reading import KEY_FIELD as KEY_FIELD_READ
from outboxed.messages._asyncapi import KEY_FIELD as KEY_FIELD_WRITTEN
from pact_faststream.diagram import with_diagram


def test_the_drawing_of_who_depends_on_whom_is_that_of_the_pact_files(contracts_folder: Path) -> None:
    page = (contracts_folder / "README.md").read_text()

    assert page == with_diagram(page, contracts_folder / "pacts"), "run `make contracts` and commit it"


def test_two_libraries_name_the_key_field_alike() -> None:
    """outboxed writes documents, asyncapi_gate reads them; neither imports the other."""
    assert KEY_FIELD_WRITTEN == KEY_FIELD_READ
