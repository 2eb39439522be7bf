"""Which pacts a provider verifies now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.broker_stand_in.state import Content, Participant, Publication, State, Version


@dataclass(frozen=True)
class Selected:
    """A pact to verify, and why."""

    publication: Publication
    reasons: tuple[str, ...]
    is_pending: bool


def selected(state: State, provider: str, asked: Mapping[str, Any]) -> Sequence[Selected]:
    """Each content once: what the selectors choose, then work in progress, if it is asked for."""
    branch = asked.get("providerVersionBranch")
    found: dict[Content, list[tuple[Publication, str]]] = {}
    for selector in asked.get("consumerVersionSelectors") or [{"mainBranch": True}, {"deployedOrReleased": True}]:
        for publication, reason in _chosen(state, provider, selector, branch):
            found.setdefault(publication.content, []).append((publication, reason))
    pending = bool(asked.get("includePendingStatus"))
    chosen = [
        Selected(
            whys[0][0], tuple(dict.fromkeys(why for _, why in whys)), pending and _is_pending(state, content, branch)
        )
        for content, whys in found.items()
    ]
    return [*chosen, *(_in_progress(state, provider, branch, found) if asked.get("includeWipPactsSince") else ())]


def _chosen(
    state: State, provider: str, selector: Mapping[str, Any], branch: str | None
) -> Iterator[tuple[Publication, str]]:
    for consumer in list(state.participants.values()):
        if selector.get("mainBranch") and consumer.main_branch:
            yield from _newest(state, provider, consumer, consumer.main_branch, "latest from main branch")
        if selector.get("matchingBranch") and branch:
            yield from _newest(state, provider, consumer, branch, f"latest from branch {branch}")
        if name := selector.get("branch"):
            yield from _newest(state, provider, consumer, name, f"latest from branch {name}")
        if selector.get("deployedOrReleased"):
            for each in state.placements:
                if each.is_there and each.participant is consumer:
                    word = "released" if each.is_release else "deployed"
                    yield from _one(state, provider, consumer, each.version, f"{word} to {each.environment.name}")


def _newest(
    state: State, provider: str, consumer: Participant, branch: str, reason: str
) -> Iterator[tuple[Publication, str]]:
    with_pact = [each for each in consumer.on(branch) if state.published(consumer.name, each, provider)]
    if with_pact:
        yield from _one(state, provider, consumer, max(with_pact, key=lambda version: version.order), reason)


def _one(
    state: State, provider: str, consumer: Participant, version: Version, reason: str
) -> Iterator[tuple[Publication, str]]:
    if publication := state.published(consumer.name, version, provider):
        yield publication, reason


def _in_progress(state: State, provider: str, branch: str | None, found: Mapping[Content, Any]) -> Iterator[Selected]:
    """Heads of all branches that the provider's branch has not kept yet."""
    seen = set(found)
    for consumer in state.participants.values():
        for name in consumer.branches:
            for publication, reason in _newest(state, provider, consumer, name, f"latest from branch {name}"):
                if publication.content not in seen and _is_pending(state, publication.content, branch):
                    seen.add(publication.content)
                    yield Selected(publication, (reason,), is_pending=True)


def _is_pending(state: State, content: Content, branch: str | None) -> bool:
    """Not kept yet by the provider's branch, nor by another one before this branch began."""
    provider = state.participants[content.provider]
    began = min((version.order for version in provider.on(branch)), default=None)
    for each in state.verifications:
        is_before = began is None or each.order < began
        if each.content == content and each.success and (branch in each.version.branches or is_before):
            return False
    return True
