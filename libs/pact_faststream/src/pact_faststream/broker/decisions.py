"""May a version be deployed or merged? Only the broker's `deployable: true` is a yes; null means unknown."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from pact_faststream.broker.answers import BrokerError, Matrix, Row
from pact_faststream.broker.client import Broker
from pact_faststream.broker.deployments import environment_named
from pact_faststream.broker.revision import version_in_use
from pact_faststream.broker.settings import BrokerSettings
from pact_faststream.broker.versions import known_version

Query = Sequence[tuple[str, str]]
MOST_ROWS = 1000
"""Of an answer. Without a limit the broker decides on 100 rows and drops the others: a provider with more consumers in
an environment would hear yes though one of the others fails. See `lib/pact_broker/matrix/parse_query.rb` of pact_broker
and issue 53 of pact_broker-client."""
NOT_THERE = "where two wait for each other, one goes first with --ignore"


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


def can_i_deploy(settings: BrokerSettings, service: str, environment: str, ignored: Sequence[str] = ()) -> Decision:
    """Whether the service works with what is in the environment now, `ignored` participants apart.

    A reader's rights are enough. Raises BrokerError.
    """
    broker = Broker.connect(settings)
    environment_named(broker, environment)
    question = _Question(broker, service, version_in_use(settings), environment, f"deployed to {environment}")
    return question.answered([("latestby", "cvpv"), ("environment", environment)], ignored)


def can_i_merge(settings: BrokerSettings, service: str, ignored: Sequence[str] = ()) -> Decision:
    """Whether the service works with the main branches of the others, `ignored` participants apart.

    A reader's rights are enough. Raises BrokerError.
    """
    broker = Broker.connect(settings)
    question = _Question(broker, service, version_in_use(settings), "the main branch", "merged")
    return question.answered([("latestby", "cvp"), ("latest", "true"), ("mainBranch", "true")], ignored)


@dataclass(frozen=True)
class _Question:
    broker: Broker
    service: str
    version: str
    place: str
    done: str

    def answered(self, others: Query, ignored: Sequence[str]) -> Decision:
        known_version(self.broker, self.service, self.version)
        asked = [*_one(self.service, self.version), *others, *(("ignore[][pacticipant]", name) for name in ignored)]
        answer = self._matrix([*asked, ("limit", str(MOST_ROWS))])
        if answer.summary.deployable is True and len(answer.matrix) >= MOST_ROWS:
            raise BrokerError(f"the broker says yes by {MOST_ROWS} rows, and has more: a no may be among the others")
        reasons = [f"  {line.strip()}" for line in answer.summary.reason.splitlines() if line.strip()]
        version = f"{self.service} {self.version}"
        if answer.summary.deployable is True:
            ignoring = f", {', '.join(ignored)} ignored as asked" if ignored else ""
            return Decision(yes=True, lines=(f"yes, {version} can be {self.done}{ignoring}:", *reasons))
        is_known = answer.summary.deployable is False
        head = f"{'no' if is_known else 'not yet known, so no'}: {version} can not be {self.done}"
        return Decision(yes=False, lines=(head, *reasons, *self._explained(answer.matrix)), known=is_known)

    def _explained(self, rows: Sequence[Row]) -> Iterator[str]:
        for row in rows:
            pact = f"  pact of {row.consumer} with {row.provider}"
            if row.ignored:
                yield f"{pact}: ignored, as asked"
            elif row.verification_result is None:
                yield f"{pact}: not verified; next: {self._next(row)}"
            elif row.verification_result.success:
                yield f"{pact}: verified"
            else:
                where = row.verification_result.link("self").href
                yield f"{pact}: failed; next: {self._next(row)}; see {where}"

    def _next(self, row: Row) -> str:
        """What would make it a yes: usually, another version of the other side goes first."""
        is_failed = row.verification_result is not None
        other = row.consumer if row.provider.name == self.service else row.provider
        fitting = self._fitting(other.name, row)
        if other == row.consumer:
            if not is_failed:
                return f"verify {self.service} at this version"
            if fitting:
                return f"get {other.name} {fitting} to {self.place} first: this version keeps what it expects"
            return f"keep what {other.name} expects, until a version of it that expects less is in {self.place}"
        if fitting:
            waiting = "" if is_failed else f" ({NOT_THERE})"
            return f"get {other.name} {fitting} to {self.place} first: it keeps this pact{waiting}"
        if is_failed:
            return f"mend {other.name}, or expect less of it"
        return f"verify {other.name} as it is in {self.place}, or get it there first ({NOT_THERE})"

    def _fitting(self, other: str, row: Row) -> str | None:
        """The newest version of the other side with which this version works."""
        rows = self._matrix([*_one(self.service, self.version), ("q[][pacticipant]", other), ("latestby", "cvpv")])
        for each in rows.matrix:
            version = (each.consumer if row.consumer.name == other else each.provider).version
            same_way = (each.consumer.name, each.provider.name) == (row.consumer.name, row.provider.name)
            if same_way and version and each.verification_result and each.verification_result.success:
                return version.number
        return None

    def _matrix(self, query: Query) -> Matrix:
        return self.broker.get(self.broker.at(f"/matrix?{urlencode(query)}"), Matrix)


def _one(service: str, version: str) -> Query:
    return [("q[][pacticipant]", service), ("q[][version]", version)]
