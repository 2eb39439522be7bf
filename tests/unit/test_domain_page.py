"""The state tables in docs/domain.md are those of the code."""

from docs.site.domain import PAGE, filled, tables


def test_the_page_has_the_tables_of_the_code() -> None:
    page = PAGE.read_text()

    assert filled(page) == page, "docs/domain.md differs from the services' tables: run `make contracts`"


def test_no_table_is_missing_in_the_page() -> None:
    page = PAGE.read_text()

    assert [name for name in tables() if f"<!-- begin: {name} -->\n\n|" not in page] == []
