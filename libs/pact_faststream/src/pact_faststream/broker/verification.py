"""Verifies consumers' pacts by the provider's own tests, and publishes the results."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from pact_faststream.broker.answers import BrokerError, VersionResource
from pact_faststream.broker.client import Broker
from pact_faststream.broker.revision import Revision, revision_to_publish
from pact_faststream.broker.settings import load_settings
from pact_faststream.broker.source import ChosenPact, chosen_pacts, publish_results
from pact_faststream.sources import HandedOver, Result

Results = Sequence[tuple[ChosenPact, Sequence[Result]]]


def verify(service: str, tests: Path | None, root: Path, seconds: float) -> list[str]:
    """Run the provider's tests, in the folder `root`, on the broker's pacts, and publish the results.

    Returns what the broker then holds, for a person. A service of which nobody expects anything has nothing to verify,
    and says so. Raises BrokerSettingError, NoPactsError, BrokerError. BrokerError also ends tests that take longer than
    `seconds`.
    """
    settings = load_settings()
    revision = revision_to_publish(settings)
    broker = Broker.connect(settings)
    pacts = chosen_pacts(broker, service, revision, settings.url)
    if not pacts:
        where = "on its main branch, on one of this name, or where it is deployed"
        return [f"nothing to verify: no consumer has published a pact with {service!r} {where} (is the name right?)"]
    consumers = ", ".join(dict.fromkeys(pact.published.consumer.name for pact in pacts))
    if tests is None or not tests.exists():
        where = f"there are no provider tests {tests}" if tests else "nothing says where the provider tests are"
        raise BrokerError(
            f"{where}, but {consumers} expects something of {service}: name them with --tests, or in pyproject.toml "
            "under [tool.pact-faststream.provider-tests]"
        )
    status, results = _run_tests(pacts, tests, root, seconds)
    _publish(broker, service, revision, results)
    _refuse(service, status, results)
    head = f"verified {len(pacts)} pacts of {service} {revision.version}; the broker has the results:"
    return [head, *(line for pact, found in results for line in _told(pact, found))]


def _publish(broker: Broker, service: str, revision: Revision, results: Results) -> None:
    missing = [pact.name for pact, found in results if not found]
    if missing:
        raise BrokerError(
            f"the provider tests left no result of the pact of {', '.join(missing)}: were they skipped, "
            f"or do they verify another provider than {service}? See pytest's words above; nothing was published"
        )
    try:
        publish_results(broker, service, revision, results)
    except BrokerError as error:
        raise BrokerError(f"the results were not published: {error}{_left(broker, service, revision)}") from None


def _left(broker: Broker, service: str, revision: Revision) -> str:
    """What another pipeline may take for a verdict, and how to mend it."""
    address = broker.index.link("pb:pacticipant-version", pacticipant=service, version=revision.version)
    try:
        known = broker.find(address, VersionResource)
    except BrokerError:
        return f"; what the broker holds of {service} {revision.version} is unknown: verify again"
    if known is None:
        return f"; it knows nothing of {service} {revision.version}: verify again"
    return (
        f"; it knows {service} {revision.version} without all of its results, so whoever asks about it hears "
        "'not yet known': verify again"
    )


def _refuse(service: str, status: int, results: Results) -> None:
    broken = [pact.name for pact, found in results if any(result.fails for result in found)]
    if broken:
        raise BrokerError(f"{service} breaks what {', '.join(broken)} expects; the broker has the results")
    if status != 0:
        raise BrokerError(
            f"{service} keeps each pact, and the broker has the results, but pytest ended with {status}: "
            "another of its provider tests failed"
        )


def _told(pact: ChosenPact, results: Sequence[Result]) -> Iterator[str]:
    failed = list(dict.fromkeys(result for result in results if not result.ok))
    yield f"  {pact.name}: {'broken, but not binding yet' if failed else 'kept'}"
    for result in failed:
        yield from (f"  {line}" for line in result.lines())


def _run_tests(pacts: Sequence[ChosenPact], tests: Path, root: Path, seconds: float) -> tuple[int, Results]:
    with TemporaryDirectory(prefix="pacts-") as folder:
        handed = HandedOver(Path(folder))
        handed.hand_over([pact.to_verify() for pact in pacts])
        status = _pytest(["--pacts-in", folder, str(tests.resolve())], root, seconds)
        return status, [(pact, handed.results(pact.to_verify())) for pact in pacts]


def _pytest(arguments: Sequence[str], root: Path, seconds: float) -> int:
    environment = {**os.environ, "PACT_DO_NOT_TRACK": "true"}
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    # a group of its own, so that all processes of the tests can be ended
    process = subprocess.Popen(command, env=environment, cwd=root, start_new_session=True)  # noqa: S603
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise BrokerError(f"the provider tests were ended after {seconds:g} s; nothing was published") from None
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
