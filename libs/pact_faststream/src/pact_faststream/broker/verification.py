"""Verifies consumers' pacts by the provider's own tests, then checks that the broker has the results."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from pact_faststream.broker.answers import BrokerError
from pact_faststream.broker.source import BrokerSource, source_from_environment
from pact_faststream.sources import NoConsumersError


def verify(service: str, tests: Path, seconds: float) -> list[str]:
    """Run the provider's tests against the broker's pacts; returns what the broker then holds, for a person.

    A service of which nobody expects anything has nothing to verify, and says so.

    Raises BrokerSettingError, NoPactsError, BrokerError. BrokerError also ends tests that take longer than `seconds`:
    the verifier waits for a silent broker for ever.
    """
    source = source_from_environment()
    try:
        pacts = source.pacts(service)
    except NoConsumersError as error:
        return [f"nothing to verify: {error}"]
    if not tests.exists():
        consumers = ", ".join(sorted({pact.consumer.name for pact in pacts}))
        raise BrokerError(
            f"there are no provider tests {tests}, but {consumers} expects something of {service}: "
            "name them with --tests"
        )
    status = _run_tests(source, tests, seconds)
    if status != 0:
        raise BrokerError(f"pytest ended with {status}: {_reason(source, service)}")
    results = source.results(service)  # the tests may have been skipped, and the verifier only logs a refusal
    lines = [f"{result.pact}: {'kept' if result.success else 'broken, but not binding yet'}" for result in results]
    head = f"verified {len(pacts)} pacts of {service} {source.revision.version}; the broker has the results:"
    return [head, *(f"  {line}" for line in lines)]


def _reason(source: BrokerSource, service: str) -> str:
    """Why the tests failed, by what the broker then holds."""
    try:
        broken = [result.pact for result in source.results(service) if not result.success]
    except BrokerError as error:
        return str(error)
    if broken:
        return f"{service} breaks what {', '.join(broken)} expects"
    return f"{service} keeps each pact, but its tests failed, or could not run to their end"


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
