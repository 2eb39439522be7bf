"""May a version be deployed or merged? Only the broker's `deployable: true` is a yes; null means unknown."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pact_faststream._compat.pact_cli import version_of
from pact_faststream.broker.answers import Matrix, Row
from pact_faststream.broker.client import Broker
from pact_faststream.broker.command_line import ask_pact
from pact_faststream.broker.deployments import make_environments
from pact_faststream.broker.revision import version_in_use
from pact_faststream.broker.settings import BrokerSettings


@dataclass(frozen=True)
class Decision:
    """A yes, or a no with its reasons."""

    yes: bool
    lines: tuple[str, ...]
    known: bool = True


@dataclass(frozen=True)
class Patience:
    """How often the broker is asked again while a verification is missing: the providers may be at it.

    A no that is known is final. `tell` hears a line before each wait.
    """

    times: int
    seconds: float
    tell: Callable[[str], None]

    def ask(self, question: Callable[[], Decision]) -> Decision:
        """The first answer that is known, or the last one. Raises what the question raises."""
        decision = question()
        for left in range(self.times, 0, -1):
            if decision.known:
                break
            reasons = "\n".join(decision.lines[1:])
            self.tell(f"not yet known:\n{reasons}\n  asking again in {self.seconds:g} s, {left} times at most")
            time.sleep(self.seconds)
            decision = question()
        return decision


def can_i_deploy(settings: BrokerSettings, service: str, environment: str) -> Decision:
    """Whether the service works with what is in the environment now. Raises BrokerError."""
    version = version_in_use(settings)
    make_environments(Broker.connect(settings), settings, environment)
    asked = ("can-i-deploy", *version_of(service, version), "--to-environment", environment)
    return _decide(ask_pact(settings, Matrix, *asked), service, f"{service} {version} be deployed to {environment}")


def can_i_merge(settings: BrokerSettings, service: str) -> Decision:
    """Whether the service works with the main branches of the others. Raises BrokerError."""
    version = version_in_use(settings)
    Broker.connect(settings)
    asked = ("can-i-merge", *version_of(service, version))
    return _decide(ask_pact(settings, Matrix, *asked), service, f"{service} {version} be merged")


def _decide(answer: Matrix, service: str, what: str) -> Decision:
    reason = " ".join(answer.summary.reason.split())
    if answer.summary.deployable is True:
        return Decision(yes=True, lines=(f"yes, {what.replace(' be ', ' can be ', 1)}: {reason}",))
    word = "no" if answer.summary.deployable is False else "not yet known, so no"
    head = f"{word}: {what.replace(' be ', ' can not be ', 1)}"
    lines = (head, f"  {reason}", *_explained(answer.matrix, service))
    return Decision(yes=False, lines=lines, known=answer.summary.deployable is False)


def _explained(rows: list[Row], service: str) -> Iterator[str]:
    if not rows:
        yield "  next: publish its pacts, or verify those of its consumers, under this very version"
    for row in rows:
        pact = f"  pact of {row.consumer} with {row.provider}"
        if row.verification_result is None:
            yield f"{pact}: not verified; {_who_verifies(row, service)}"
        elif row.verification_result.success:
            yield f"{pact}: verified"
        else:
            where = row.verification_result.link("self").href
            yield f"{pact}: failed; next: mend the provider or expect less of it, see {where}"


def _who_verifies(row: Row, service: str) -> str:
    if row.provider.name == service:
        return f"next: verify {service} at this version"
    return f"next: verify {row.provider.name} as it is there, or deploy it there first"
