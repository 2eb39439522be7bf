"""A tracked session: from its first action until the system is at rest."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import time
from typing import Protocol, TypeVar

from pydantic import BaseModel

from outboxed.messages import Record
from outboxed.storage import Clock
from outboxed.testing.topic_log import header
from outboxed.testing.tracking import story as stories
from outboxed.testing.tracking.bus import Bus
from outboxed.testing.tracking.participants import PendingWork, RunningParticipant, TopicReader
from outboxed.testing.tracking.spans import Spans, Step, logged_steps, recorded
from outboxed.testing.tracking.story import PublishedEvents, Story

E = TypeVar("E", bound=BaseModel)
LOOK_EVERY = 0.02
STORIES = "OUTBOXED_STORIES"


class NotAtRestError(AssertionError, TimeoutError):
    """Work was left at the time-out; the message has the story and the work that is left."""


class Participant(Protocol):
    """One service of the system."""

    @property
    def name(self) -> str: ...
    @property
    def clock(self) -> Clock | None: ...
    @property
    def services(self) -> Mapping[str, str]: ...
    async def begin(self, bus: Bus, reader: TopicReader | None) -> None: ...
    async def end(self) -> None: ...
    async def move(self) -> bool: ...
    async def pending(self) -> PendingWork: ...


class Session:
    """What happened between the beginning of the block and rest; see `tracked`."""

    def __init__(  # noqa: PLR0913 - a session has that many parts
        self,
        *,
        participants: Sequence[Participant],
        bus: Bus,
        reader: TopicReader | None,
        spans: Spans,
        logs: Sequence[Path],
        within: float,
        dead_before: Mapping[str, Counter[str]],
    ) -> None:
        self.bus = bus
        self._participants = participants
        self._reader = reader
        self._spans = spans
        self._logs = [(path, path.stat().st_size if path.exists() else 0) for path in logs]
        self._within = within
        self._began = time()
        self._records: list[Record] = []
        self._dead_before = dead_before
        self._pending: Mapping[str, PendingWork] = {}
        self._asked: set[str] = set()

    @property
    def sequence(self) -> Story:
        """The story up to the last time that the system was at rest."""
        services = {kind: name for participant in self._participants for kind, name in participant.services.items()}
        return stories.tell([*self._spans.ended, *self._logged()], self._records, services, since=self._began)

    @property
    def records(self) -> Sequence[Record]:
        """The records of the session, as a consumer's client reads them, up to the last time of rest."""
        return self._records

    def published(self, event: type[E] | str) -> PublishedEvents[E]:
        """The events of a type, which is given as the service's class or by name; a name gives dicts."""
        found = stories.published(self._records, event, self.sequence)
        self._asked.add(found.type)
        return found

    def nothing_else(self) -> None:
        """Assert that `published` has asked for every event, and that the session added no dead letter.

        Raises AssertionError, with the story.
        """
        others = sorted({header(record, "ce_type") for record in self._records} - self._asked)
        letters = [
            f"{name}: {letter}"
            for name, left in self._pending.items()
            for letter in (Counter(left.dead_letters) - self._dead_before[name]).elements()
        ]
        if others or letters:
            what = [*(f"{other} was published, too" for other in others), *(f"a dead letter, {one}" for one in letters)]
            raise AssertionError(f"{'; '.join(what)}. What happened:\n{self.sequence}")

    @property
    def waiting(self) -> Sequence[str]:
        """Tasks whose time has not come, in words; `advance` brings it."""
        return [later for left in self._pending.values() for later in left.later]

    async def settle(self) -> None:
        """Wait until nothing moves: no outbox row, no message in flight, no due task.

        Raises NotAtRestError after the session's `within` seconds.
        """
        try:
            async with asyncio.timeout(self._within):
                await self._until_still()
        except TimeoutError:
            raise NotAtRestError(await self._report()) from None
        finally:
            await self._read()

    async def advance(self, **span: float) -> None:
        """Move the clocks forward, as `advance(minutes=30)`, and settle: deadlines pass, retries are made.

        Raises ValueError for a participant in another process, which has a clock of its own.
        """
        clocks = {}
        for participant in self._participants:
            if participant.clock is None:
                raise ValueError(
                    f"{participant.name} has a clock of its own: give RunningParticipant the service's clock"
                )
            clocks[id(participant.clock)] = participant.clock
        for clock in clocks.values():
            clock.advance(timedelta(**span))
        await self.settle()

    async def _until_still(self) -> None:
        before: object = None
        while True:
            if any([await participant.move() for participant in self._participants]):
                await asyncio.sleep(0)  # lets the time-out cancel this loop
                continue
            self._pending = {participant.name: await participant.pending() for participant in self._participants}
            moving = any(left.now for left in self._pending.values()) or bool(self._spans.running)
            progress = tuple(left.progress for left in self._pending.values())
            # work may move to a participant that was looked at already: two looks have to agree
            if not moving and (self._reader is None or progress == before):
                return
            before = None if moving else progress
            await asyncio.sleep(LOOK_EVERY if self._reader else 0)

    async def _read(self) -> None:
        self._records = list(await self._reader.read() if self._reader else self.bus.sent)

    async def _report(self) -> str:
        await self._read()
        left = [f"  {name}: {what}" for name, left in self._pending.items() for what in left.now]
        left += [f"  still running: {name}" for name in self._spans.running.values()]
        return f"not at rest within {self._within:g} s. What happened:\n{self.sequence}\nLeft to do:\n" + "\n".join(
            left
        )

    def _logged(self) -> Iterator[Step]:
        for path, size in self._logs:
            with path.open("rb") as log:
                log.seek(size)
                yield from logged_steps(log.read().decode(errors="replace").splitlines())


@asynccontextmanager
async def tracked(
    *participants: Participant, bus: Bus | None = None, within: float = 30.0, logs: Sequence[Path] = ()
) -> AsyncIterator[Session]:
    """Act in the block; at its end the system has come to rest, and the session tells what happened.

    `participants` are InMemoryParticipant, which the session moves through `bus`, or RunningParticipant, which share
    one Kafka; never both. `logs` are the log files of services in other processes, as outboxed writes them; their steps
    join the story by trace ids. Raises NotAtRestError after `within` seconds; an error that leaves the block gets the
    story as a note.
    """
    running = [participant for participant in participants if isinstance(participant, RunningParticipant)]
    if running and len(running) < len(participants):
        raise ValueError("participants in memory and running participants can't talk to each other: track either")
    bus = bus or Bus()
    async with AsyncExitStack() as stack:
        reader = await _reader(running, stack) if running else None
        for participant in participants:
            await participant.begin(bus, reader)
            stack.push_async_callback(participant.end)
        spans = stack.enter_context(recorded())
        dead = {participant.name: Counter((await participant.pending()).dead_letters) for participant in participants}
        session = Session(
            participants=participants, bus=bus, reader=reader, spans=spans, logs=logs, within=within, dead_before=dead
        )
        try:
            yield session
        except BaseException as error:
            error.add_note(f"What had happened:\n{session.sequence}")
            raise
        await session.settle()
        _keep(session.sequence)


def _keep(story: Story) -> None:
    """Write a diagram, named after the test, for the documentation, if the environment names a folder."""
    folder, test = os.environ.get(STORIES), os.environ.get("PYTEST_CURRENT_TEST", "session")
    if folder:
        (Path(folder) / f"{test.rpartition('::')[2].rpartition(' ')[0]}.mmd").write_text(story.mermaid())


async def _reader(participants: Sequence[RunningParticipant], stack: AsyncExitStack) -> TopicReader:
    topics = sorted({topic for one in participants for topic in (*one.consumes, *one.publishes)})
    reader = TopicReader(participants[0].kafka, topics)
    await reader.begin()
    stack.push_async_callback(reader.end)
    return reader
