"""Which pacts hold between the versions that a question is about, and what follows from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.broker_stand_in.state import Content, Environment, Participant, Publication, State, Verification, Version

ALL_IS_WELL = "All required verification results are published and successful"
MOST_ROWS = 100
"""Of an answer, unless the question names another limit. What is cut off doesn't count, but a consumer's provider
without any row makes the answer unknown. See `parse_query.rb` and `deployment_status_summary.rb` in pact_broker's
lib/pact_broker/matrix."""
NOTHING_NEEDED = "There are no missing dependencies"


class QuestionError(Exception):
    """The question names what the broker doesn't know."""


@dataclass(frozen=True)
class Selector:
    """A participant that a question names, with a version, with the newest of a branch, or with all."""

    participant: str
    version: str | None = None
    branch: str | None = None


@dataclass(frozen=True)
class Question:
    """About one version and the others of an environment or of the main branches; or about two participants."""

    selectors: Sequence[Selector]
    environment: Environment | None = None
    main_branches: bool = False
    ignored: Sequence[str] = ()
    limit: int = MOST_ROWS


@dataclass(frozen=True)
class Row:
    publication: Publication
    verification: Verification | None
    consumer: str
    provider: str
    is_ignored: bool = False

    @property
    def content(self) -> Content:
        return self.publication.content

    @property
    def reason(self) -> str | None:
        """Why it isn't a yes."""
        told = "[IGNORED] " if self.is_ignored else ""
        if self.verification is None:
            return f"{told}There is no verified pact between {self.consumer} and {self.provider}"
        if not self.verification.success:
            return f"{told}The verification for the pact between {self.consumer} and {self.provider} failed"
        return None


@dataclass(frozen=True)
class Answer:
    deployable: bool | None
    reasons: Sequence[str]
    rows: Sequence[Row]

    def counted(self, success: bool | None) -> int:  # noqa: FBT001 - one of three values
        return sum(_success(row) is success for row in self.rows if not row.is_ignored)


def answer(state: State, question: Question) -> Answer:
    """Raises QuestionError."""
    for selector in question.selectors:
        if selector.participant not in state.participants:
            raise QuestionError(f"Pacticipant {selector.participant} not found")
    for selector in question.selectors:
        if selector.version and selector.version not in state.participants[selector.participant].versions:
            missing = f"version {selector.version} of {selector.participant}"
            return Answer(
                deployable=False, reasons=[f"No pacts or verifications have been published for {missing}"], rows=[]
            )
    found = list(_Rows(state, question).found())
    rows = found[: question.limit]
    considered = [_success(row) for row in rows if not row.is_ignored]
    if _required(question, found) - _required(question, rows):
        considered.append(None)
    deployable = None if None in considered else all(considered)
    bad = list(dict.fromkeys(reason for row in _failed_first(rows) if (reason := row.reason)))
    good = [ALL_IS_WELL if considered else NOTHING_NEEDED]
    return Answer(deployable, (good if deployable else []) + bad, rows)


def _required(question: Question, rows: Sequence[Row]) -> set[tuple[str, str]]:
    """The pacts of the consumers that the question names: they need their providers."""
    named = {selector.participant for selector in question.selectors}
    considered = (row.content for row in rows if not row.is_ignored)
    return {(content.consumer, content.provider) for content in considered if content.consumer in named}


def _success(row: Row) -> bool | None:
    return row.verification.success if row.verification else None


def _failed_first(rows: Sequence[Row]) -> Sequence[Row]:
    return sorted(rows, key=lambda row: (row.verification is None, row.is_ignored))


@dataclass(frozen=True)
class _Rows:
    state: State
    question: Question

    def found(self) -> Iterator[Row]:
        newest_first = sorted(self.state.publications, key=lambda each: each.version.order, reverse=True)
        for publication in newest_first:
            consumer, provider = publication.content.consumer, publication.content.provider
            if not self._is_asked(consumer, provider):
                continue
            chosen = self._versions(consumer)
            if chosen is None or publication.version in chosen:
                yield from self._of(publication, self._versions(provider))

    def _of(self, publication: Publication, providers: Sequence[Version] | None) -> Iterator[Row]:
        content = publication.content
        if providers is None:
            verified = {id(each.version): each.version for each in self.state.verifications if each.content == content}
            providers = sorted(verified.values(), key=lambda version: version.order, reverse=True)
        consumer = self._described(content.consumer, publication.version)
        is_ignored = bool({content.consumer, content.provider} & set(self.question.ignored))
        for version in providers or (None,):
            verification = self.state.verification(content, version) if version else None
            yield Row(publication, verification, consumer, self._described(content.provider, version), is_ignored)

    def _is_asked(self, consumer: str, provider: str) -> bool:
        named = {selector.participant for selector in self.question.selectors}
        return {consumer, provider} <= named if len(named) > 1 else bool({consumer, provider} & named)

    def _versions(self, name: str) -> Sequence[Version] | None:
        """Those that the question is about; None for all."""
        participant = self.state.participants[name]
        if (selector := self._selector(name)) is not None:
            if selector.branch:
                head = participant.head(selector.branch)
                return [head] if head else []
            return [participant.versions[selector.version]] if selector.version else None
        if self.question.environment:
            there = self.state.there(self.question.environment, name)
            return [placement.version for placement in there]
        if self.question.main_branches:
            head = participant.head(participant.main_branch)
            return [head] if head else []
        return None

    def _selector(self, name: str) -> Selector | None:
        return next((each for each in self.question.selectors if each.participant == name), None)

    def _described(self, name: str, version: Version | None) -> str:
        participant = self.state.participants[name]
        selector = self._selector(name)
        if selector and selector.version:
            return f"version {selector.version} of {name}"
        if selector is None and self.question.environment:
            return self._in_environment(participant, version, self.question.environment)
        if selector is None and self.question.main_branches:
            number = version.number if version else "no such version exists"
            return f"the latest version of {name} from branch {participant.main_branch or 'main'} ({number})"
        return f"version {version.number} of {name}" if version else f"any version of {name}"

    def _in_environment(self, participant: Participant, version: Version | None, environment: Environment) -> str:
        name, there = participant.name, self.state.there(environment, participant.name)
        if not there or version is None:
            nothing = "no version is currently recorded as deployed/released in this environment"
            return f"a version of {name} currently in {environment.name} ({nothing})"
        which = "one of the versions" if len(there) > 1 else "the version"
        return f"{which} of {name} currently in {environment.name} ({version.number})"
