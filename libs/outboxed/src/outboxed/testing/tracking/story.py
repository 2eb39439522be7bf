"""What happened, as a tree of causes: requests, the events that they caused, the tasks of these events, and so on."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from outboxed.messages import Record
from outboxed.testing.topic_log import header
from outboxed.testing.tracking.spans import CALL, EVENT, TASK, Step

E = TypeVar("E", bound=BaseModel)
ARROW = " -> "
SHOWN = 120
"""Characters of a line."""
DEEPEST = 20
"""Steps that a line is set in, at most."""
FIRST, LAST = 150, 50
"""Lines of a story that is longer; a system that never rests has thousands."""


@dataclass(eq=False)
class Activity:
    """A request, a published event, an attempt at a task, or a call to the outside; `at` in seconds from the start.

    `service` did it, or was called; for an event, `handled_by` names its consumers. `caused` is in order of time.
    """

    kind: str
    name: str
    service: str
    at: float
    outcome: str = ""
    handled_by: list[str] = field(default_factory=list)
    caused: list["Activity"] = field(default_factory=list, repr=False)

    def __str__(self) -> str:
        handled = f", handled by {', '.join(self.handled_by)}" if self.handled_by else ""
        outcome = f" ({self.outcome})" if self.outcome else ""
        return f"{self.name}{outcome}{handled}"


@dataclass(frozen=True)
class Story:
    """A session's activities; `beginnings` are those that nothing in the session caused."""

    beginnings: Sequence[Activity]

    @property
    def names(self) -> list[str]:
        """The names of all activities: a cause before its effects, the effects of one cause in order of time."""
        return [activity.name for _, activity in _walk(self.beginnings)]

    def chain(self, name: str) -> str:
        """The causes of the last activity of this name: `POST /orders -> order.placed.v1 -> charge`.

        Raises AssertionError, with the story, if no activity has this name.
        """
        path: list[str] = []
        found = None
        for depth, activity in _walk(self.beginnings):
            path[depth:] = [activity.name]
            if activity.name == name:
                found = ARROW.join(path)
        if found is None:
            raise AssertionError(f"there was no {name}. What happened:\n{self}")
        return found

    def mermaid(self) -> str:
        """A sequence diagram without times; a caller from outside is the client."""
        lines = ["sequenceDiagram", "    actor client"]
        doers: list[str] = []
        for depth, activity in _walk(self.beginnings):
            cause = doers[depth - 1] if depth else "client"
            doers[depth:] = [activity.service]
            lines += [f"    {line}" for line in _arrows(activity, cause)]
        return "\n".join(lines)

    def __str__(self) -> str:
        """One line for each activity, below its cause, with its time and service; of a long story its two ends."""
        lines = [
            f"{activity.at:8.3f} s  {activity.service:<14} {'  ' * min(depth, DEEPEST)}{activity}"[:SHOWN].rstrip()
            for depth, activity in _walk(self.beginnings)
        ]
        left_out = len(lines) - FIRST - LAST
        if left_out > 0:
            lines[FIRST:-LAST] = [f"{'':13}... {left_out} more"]
        return "\n".join(lines)


@dataclass(frozen=True)
class PublishedEvents(Generic[E]):
    """The events of one type that were published in a session, in order."""

    type: str
    events: Sequence[E]
    story: Story

    def single(self) -> E:
        """The only event. Raises AssertionError, with the story, if there are none or several."""
        if len(self.events) != 1:
            raise AssertionError(f"one {self.type}, not {len(self.events)}, was expected. What happened:\n{self.story}")
        return self.events[0]

    def none(self) -> None:
        """Raises AssertionError, with the story, if there is an event."""
        if self.events:
            raise AssertionError(f"no {self.type}, not {len(self.events)}, was expected. What happened:\n{self.story}")

    def __iter__(self) -> Iterator[E]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)


def tell(steps: Iterable[Step], records: Iterable[Record], services: Mapping[str, str], *, since: float) -> Story:
    """Put a session's steps and records together; `services` has the service of each kind of task.

    The cause of a record or a task is the step whose span is in its traceparent. The cause of a step that handles an
    event is that event. A record and its copies are one activity.
    """
    steps = sorted(steps, key=lambda step: step.at)
    begun = {step.id: step.at for step in steps}
    by_event: dict[str, Activity] = {}
    made: list[tuple[str | None, Activity]] = []
    owners: dict[str, Activity] = {}
    for record in records:
        type_, event_id = header(record, "ce_type"), header(record, "ce_id")
        if not type_ or event_id in by_event:
            continue
        # by the session's own clock: a test may have moved the service's clock
        at = begun.get(_parent_of(record) or "") or _time(header(record, "ce_time"), since)
        by_event[event_id] = Activity(EVENT, type_, header(record, "ce_source").strip("/"), at - since)
        made.append((_parent_of(record), by_event[event_id]))
    for step in steps:
        if step.kind == EVENT:
            if (event := by_event.get(step.about)) is None:  # it was published before the session began
                event = by_event[step.about] = Activity(EVENT, step.name, "", step.at - since)
                made.append((None, event))
            event.handled_by.append(f"{step.service}{f' ({step.outcome})' if step.outcome else ''}")
            owners[step.id] = event
        else:
            service = step.service if step.kind != TASK else services.get(step.name, step.service)
            activity = Activity(step.kind, step.name, service, step.at - since, step.outcome)
            owners[step.id] = activity
            made.append((step.parent, activity))
    beginnings: list[Activity] = []
    # calls first: a task calls, and then publishes what came of it, which has the time when the task began
    for parent, activity in sorted(made, key=lambda each: (each[1].kind != CALL, each[1].at)):
        cause = owners.get(parent or "")
        (cause.caused if cause is not None and cause is not activity else beginnings).append(activity)
    return Story(beginnings)


def published(records: Iterable[Record], event: type[E] | str, story: Story) -> PublishedEvents[Any]:
    """The events of a type, each id once; as instances of its class if one is given, else as dicts."""
    type_ = event if isinstance(event, str) else str(event.type)  # type: ignore[attr-defined]  # of outboxed.messages
    found: dict[str, Any] = {}
    for record in records:
        if header(record, "ce_type") == type_:
            data = json.loads(record.value or b"null")
            found.setdefault(header(record, "ce_id"), data if isinstance(event, str) else event.model_validate(data))
    return PublishedEvents(type_, list(found.values()), story)


def _parent_of(record: Record) -> str | None:
    parts = header(record, "traceparent").split("-")
    return parts[2] if len(parts) == len(("version", "trace", "span", "flags")) else None


def _time(text: str, otherwise: float) -> float:
    return datetime.fromisoformat(text).timestamp() if text else otherwise


def _walk(activities: Sequence[Activity]) -> Iterator[tuple[int, Activity]]:
    """Each with its depth, causes first; not by recursion, for which a system that never rests is too deep."""
    left = [(0, activity) for activity in reversed(activities)]
    while left:
        depth, activity = left.pop()
        yield depth, activity
        left += [(depth + 1, caused) for caused in reversed(activity.caused)]


def _arrows(activity: Activity, cause: str) -> Iterator[str]:
    """`cause` is the service whose activity this one was caused by."""
    if activity.kind == EVENT:
        groups: defaultdict[str, int] = defaultdict(int)
        for service in activity.handled_by:
            groups[service.partition(" ")[0]] += 1
        for service in groups:
            yield f"{activity.service or 'before'}-){service}: {activity.name}"
    elif activity.kind == TASK:
        yield f"{activity.service}->>{activity.service}: {activity}"
    else:
        yield f"{cause if activity.kind == CALL else 'client'}->>{activity.service}: {activity}"
