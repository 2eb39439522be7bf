"""What `pact_faststream._compat.pact` uses of Pact's verifier: one run of it, on a pact of two messages."""

import base64
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pact import Verifier

from libs.backing_services.tests.canary import canary

PACT = "pact_faststream/_compat/pact.py"
UNVERIFIED = "no provider can be verified"
STATE = {"name": "a parcel is posted", "params": {"weight": 3}}


@dataclass
class Run:
    """What the verifier asked for, by path, and what it found."""

    asked: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)

    @property
    def interactions(self) -> list[dict[str, Any]]:
        """Under whatever key: which one is another canary's business."""
        return next(each for each in self.results.values() if isinstance(each, list) and "description" in each[0])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            run.asked.setdefault(self.path, []).append(asked)
            body = b'{"weight": 3}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            metadata = json.dumps({"topic": asked.get("description", ""), "contentType": "application/json"})
            self.send_header("Pact-Message-Metadata", base64.b64encode(metadata.encode()).decode())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.005,))
        thread.start()
        verifier = Verifier("post", host="127.0.0.1")
        verifier.add_transport(protocol="message", port=server.server_port, path="/message")
        verifier.state_handler(f"http://127.0.0.1:{server.server_port}/state", body=True)
        verifier.add_source(_pact(tmp_path_factory.mktemp("pacts") / "reception-post.json"))
        with suppress(RuntimeError):  # one of the two fails
            verifier.verify()
        server.shutdown()
        thread.join()
    run.results = verifier.results
    return run


def _pact(path: Path) -> Path:
    """ "As promised" has the topic that is its description, "another" wants a topic and a body that nobody sends."""
    interactions = [
        {
            "type": "Asynchronous/Messages",
            "description": description,
            "providerStates": [STATE],
            "contents": {"content": {"weight": weight}, "contentType": "application/json", "encoded": False},
            "metadata": {"topic": "as promised"},
        }
        for description, weight in (("as promised", 3), ("another", 4))
    ]
    document = {
        "consumer": {"name": "reception"},
        "provider": {"name": "post"},
        "interactions": interactions,
        "metadata": {"pactSpecification": {"version": "4.0"}},
    }
    path.write_text(json.dumps(document))
    return path


@canary("pact-python-ffi", breaks=UNVERIFIED, mend=PACT)
def test_pact_python_ffi_asks_for_a_message_by_its_description_and_states(run: Run) -> None:
    asked = {each["description"]: each["providerStates"] for each in run.asked["/message"]}

    assert asked == {"as promised": [STATE], "another": [STATE]}


@canary("pact-python-ffi", breaks="no provider can be verified over HTTP", mend=PACT)
def test_pact_python_ffi_asks_for_a_state_by_its_name_and_parameters(run: Run) -> None:
    assert {(each["state"], each["params"]["weight"]) for each in run.asked["/state"]} == {(STATE["name"], 3)}


@canary("pact-python-ffi", breaks="a message's topic and type are not verified", mend=PACT)
def test_pact_python_ffi_reads_metadata_from_a_header(run: Run) -> None:
    assert {each["description"]: each["result"] for each in run.interactions} == {
        "as promised": "OK",
        "another": "Error",
    }


@canary("pact-python-ffi", breaks=UNVERIFIED, mend=PACT)
def test_pact_python_ffi_tells_each_interaction_with_its_consumer_and_states(run: Run) -> None:
    told = [[each[key] for key in ("consumer", "providerStates", "pending")] for each in run.interactions]

    assert told == [["reception", [STATE["name"]], False]] * 2


@canary("pact-python-ffi", breaks="a failed verification doesn't say what is wrong", mend=PACT)
def test_pact_python_ffi_tells_each_mismatch_with_its_place(run: Run) -> None:
    [failed] = [each for each in run.interactions if each["description"] == "another"]

    told = {
        detail.get("path") or detail.get("key"): detail.get("mismatch") for detail in failed["mismatch"]["mismatches"]
    }

    assert all(told.values())
    assert told.keys() == {"$.weight", "topic"}


@canary("pact-python-ffi", breaks=UNVERIFIED, mend=PACT)
def test_pact_python_ffi_tells_all_interactions_under_a_key(run: Run) -> None:
    assert "interactionResults" in run.results


@canary("pact-python", breaks=UNVERIFIED, mend=PACT)
def test_pact_python_gives_the_verifiers_results_as_they_are(run: Run) -> None:
    assert "errors" in run.results
