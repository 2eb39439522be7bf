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


VERIFIES = """
    from pact import Verifier
    from pact_faststream.callbacks import MESSAGE, message, served
    from pact_faststream.sources import PactToVerify
    from pact_faststream.verification import verified

    PACT = {
        "consumer": {"name": "payments"}, "provider": {"name": "orders"},
        "interactions": [{"type": "Asynchronous/Messages", "description": "it", "contents": {"content": {"id": "1"},
            "contentType": "application/json", "encoded": False}}],
        "metadata": {"pactSpecification": {"version": "4.0"}},
    }

    def test_it():
        with served({MESSAGE: lambda _: message(b'{"id": "1"}', {})}) as port:
            verifier = Verifier("orders", host="127.0.0.1").add_transport(protocol="message", port=port, path=MESSAGE)
            [result] = verified(verifier, PactToVerify(PACT, "here"))
        assert result.ok
"""


# pact-js#1188: a verification on loopback goes to a proxy, which knows nothing of it
def test_a_proxy_does_not_come_between_the_verifier_and_this_machine(project: Project) -> None:
    proxies = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "NO_PROXY": "intranet.example"}

    run = project({"tests/contract/test_it.py": VERIFIES}, "-p", "pact_faststream.plugin", **proxies)

    assert run.status == 0, run.text
