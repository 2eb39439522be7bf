import pytest

from libs.backing_services.tests.conftest import Project


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one process", "two workers"])
def test_while_contracts_are_written_no_test_runs_that_only_reads_them(project: Project, workers: list[str]) -> None:
    files = {
        "tests/contract/test_writes.py": "def test_it(contracts_folder, write_contracts): assert write_contracts",
        "tests/contract/test_reads.py": "def test_it(contracts_folder): raise AssertionError('half written')",
        "tests/unit/test_x.py": "def test_it(): pass",
    }

    run = project(files, "-p", "pact_faststream.plugin", "--write-contracts", *workers)

    assert run.status == 0
    run.lines.fnmatch_lines(["*1 passed*"])
