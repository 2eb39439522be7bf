"""Verifies consumers' pacts by the provider's own tests, then checks that the broker has the results."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from pact_faststream.broker.answers import BrokerError
from pact_faststream.broker.source import BrokerSource, source_from_environment


def verify(service: str, tests: Path, seconds: float) -> list[str]:
    """Run the provider's tests against the broker's pacts; returns what the broker then holds, for a person.

    Raises BrokerSettingError, NoPactsError, BrokerError. BrokerError also ends tests that take longer than `seconds`:
    the verifier waits for a silent broker for ever.
    """
    if not tests.exists():
        raise BrokerError(f"there are no provider tests {tests}: name them with --tests")
    source = source_from_environment()
    pacts = source.pacts(service)
    status = _run_tests(source, tests, seconds)
    if status != 0:
        raise BrokerError(f"{service} breaks a contract, or its tests could not run: pytest ended with {status}")
    results = source.results(service)  # tests may have been skipped, and the verifier only logs a refusal
    lines = [f"{result.pact}: {'kept' if result.success else 'broken, but not binding yet'}" for result in results]
    head = f"verified {len(pacts)} pacts of {service} {source.revision.version}; the broker has the results:"
    return [head, *(f"  {line}" for line in lines)]


def _run_tests(source: BrokerSource, tests: Path, seconds: float) -> int:
    environment = {
        **os.environ,
        "PACT_VERSION": source.revision.version,
        "PACT_BRANCH": source.revision.branch,
        "PACT_DO_NOT_TRACK": "true",
    }
    command = [sys.executable, "-m", "pytest", "-q", "--pact-broker", str(tests)]
    # a group of its own, so that all processes of the tests can be ended
    process = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise BrokerError(f"the provider tests were ended after {seconds:g} s: did the broker fall silent?") from None
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
