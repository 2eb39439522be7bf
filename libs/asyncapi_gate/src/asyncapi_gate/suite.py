"""Tests of each service's document: `class TestDocument(DocumentSuite)` in its contract tests."""

from pathlib import Path
from typing import Any, ClassVar

import pytest

from asyncapi_gate.agreement import disagreements
from asyncapi_gate.documents import check_document, served_document
from asyncapi_gate.forms import check_forms


class DocumentSuite:
    """Needs the fixtures `app` (an ASGI app), `contracts_folder` and `write_contracts`."""

    service: ClassVar[str]

    @pytest.fixture
    async def document(self, app: Any) -> dict[str, Any]:
        """The document that the app serves."""
        return await served_document(app)

    def test_the_checked_in_document_is_what_the_app_serves(
        self, document: dict[str, Any], contracts_folder: Path, write_contracts: bool
    ) -> None:
        check_document(document, contracts_folder / "asyncapi", write=write_contracts)

    def test_every_reader_reads_every_form_that_it_may_meet(
        self, document: dict[str, Any], contracts_folder: Path, write_contracts: bool
    ) -> None:
        check_forms(document, contracts_folder / "asyncapi", write=write_contracts)

    def test_the_document_and_the_pacts_agree(self, contracts_folder: Path) -> None:
        assert not disagreements(self.service, contracts_folder)
