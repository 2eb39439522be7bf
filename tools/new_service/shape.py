"""What a new service is made of: its words, derived from its name and its events."""

import builtins
import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path

from shop_harness.services import ALL, LISTENERS, ROOT, SERVICES

from tools.new_service.names import EventName, WrongArgumentError, camel
from tools.new_service.producers import Published, article, state_of, words
from tools.new_service.views import Expectations, Views, pact_name, views

RESERVED = frozenset(
    part
    for line in (
        "account after alembic answer api app asked audience before begun body change client clock consumer",
        "database dead_letter details done ended error event found handler history id inbox input job key",
        "keys kind metadata note outbox outcome partner published query record reference relay request",
        "response role route row schema service setting state status step stored subscriber task topic",
        "transaction type types unit_of_work uow user value version worker",
    )
    for part in line.split()
)
"""Words that the template uses otherwise."""
TEMPLATE = Path(__file__).parent / "template"
OTHER_PORTS = frozenset({8025, 8090, 8091})
FIRST_PORT = 8000


@dataclass(frozen=True)
class Read:
    """An event that is read, and the words for it."""

    event: Published

    @property
    def cls(self) -> str:
        version = self.event.name.version
        return self.event.name.camel + (f"V{version}" if version > 1 else "")

    @property
    def var(self) -> str:
        version = self.event.name.version
        return self.event.name.full + (f"_v{version}" if version > 1 else "")

    @property
    def handler(self) -> str:
        return f"on_{self.var}"

    @property
    def input(self) -> str:
        return self.var.upper()

    @property
    def short(self) -> str:
        return self.event.name.short

    @property
    def type(self) -> str:
        return self.event.name.type

    @property
    def topic(self) -> str:
        return self.event.topic

    @property
    def key(self) -> str:
        return self.event.key

    @property
    def pact(self) -> str:
        return pact_name(self.event.producer)

    @property
    def description(self) -> str:
        return self.event.description

    @property
    def example_key(self) -> str:
        return self.event.key.upper()

    @property
    def example_data(self) -> str:
        """The data of an example, with the id of the test."""
        fields = {name: repr(value) for name, value in self.event.example.items()}
        fields[self.event.key] = f"str({self.event.key})"
        return "{" + ", ".join(f"{name!r}: {value}" for name, value in fields.items()) + "}"


@dataclass(frozen=True)
class Step:
    """What the partner does: a status, and the event that tells of it where there is one."""

    status: str
    name: EventName | None = None

    @property
    def type(self) -> str:
        return self.name.type if self.name else ""

    @property
    def short(self) -> str:
        return self.name.short if self.name else ""

    @property
    def cls(self) -> str:
        return self.name.camel if self.name else ""

    @property
    def var(self) -> str:
        return self.name.full if self.name else ""

    @property
    def state(self) -> str:
        return state_of(self.name) if self.name else ""

    @property
    def time_field(self) -> str:
        return f"{self.name.what}_at" if self.name else ""


@dataclass(frozen=True)
class Input:
    """What begins something: the name of its member, and its words."""

    name: str
    value: str


@dataclass(frozen=True)
class Shape:
    """A new service; every property is a word of the template."""

    name: str
    events_read: Sequence[Published]
    events: Sequence[EventName]

    @property
    def reads(self) -> Sequence[Read]:
        return [Read(event) for event in self.events_read]

    @cached_property
    def steps(self) -> Sequence[Step]:
        if not self.events:
            return [Step("DONE")]
        whats = [event.what for event in self.events]
        short = [what if whats.count(what) == 1 else event.full for what, event in zip(whats, self.events, strict=True)]
        names = short if len(set(short)) == len(short) else [event.full for event in self.events]
        return [Step(name.upper(), event) for name, event in zip(names, self.events, strict=True)]

    @property
    def begun(self) -> str:
        return self._unused("REQUESTED", "BEGUN", "WAITING")

    @property
    def refused(self) -> str:
        return self._unused("REFUSED", "GIVEN_UP", "ENDED_BY_PARTNER")

    @property
    def statuses(self) -> Sequence[str]:
        return [self.begun, *(step.status for step in self.steps), self.refused]

    @property
    def chain(self) -> Sequence[tuple[str, str]]:
        """Each status with the one that the partner's next step leads to."""
        statuses = self.statuses[:-1]
        return list(pairwise(statuses))

    @property
    def begins(self) -> Sequence[Input]:
        if not self.reads:
            return [Input("ASKED_FOR", "an operator asks")]
        return [Input(read.input, read.short) for read in self.reads]

    @property
    def noun(self) -> str:
        """What the service keeps, such as a shipment."""
        wanted = self.events[0].thing if self.events else f"{self.name}_entry"
        taken = any(_is_taken(word) for word in (wanted, plural(wanted)))
        return f"{wanted}_entry" if taken or wanted == self.name else wanted

    @property
    def nouns(self) -> str:
        return plural(self.noun)

    @property
    def Noun(self) -> str:  # noqa: N802 - the class in the template
        return camel(self.noun)

    @property
    def Nouns(self) -> str:  # noqa: N802 - the class in the template
        return camel(self.nouns)

    @property
    def NOUNS(self) -> str:  # noqa: N802 - the constant in the template
        return self.nouns.upper()

    @property
    def Name(self) -> str:  # noqa: N802 - the class in the template
        return camel(self.name)

    @property
    def upper(self) -> str:
        return self.name.upper()

    @property
    def a_noun(self) -> str:
        return article(self.noun)

    @property
    def noun_text(self) -> str:
        return words(self.noun)

    @property
    def nouns_text(self) -> str:
        return words(self.nouns)

    @property
    def Nouns_text(self) -> str:  # noqa: N802 - begins a sentence in the template
        return self.nouns_text.capitalize()

    @property
    def path(self) -> str:
        return self.nouns.replace("_", "-")

    @property
    def key(self) -> str:
        return self.events_read[0].key if self.events_read else f"{self.noun}_id"

    @property
    def subject(self) -> str:
        return words(self.key.removesuffix("_id"))

    @property
    def id_text(self) -> str:
        return f"the {self.subject}'s" if self.events_read else "given by who asks for it"

    @property
    def description(self) -> str:
        told = ", and says when it is done" if self.events else ""
        return f"Has a partner do what is to be done for each {self.subject}{told}"

    @property
    def topic(self) -> str:
        return self.name

    @property
    def read_topics(self) -> Sequence[str]:
        return list(dict.fromkeys(event.topic for event in self.events_read))

    @property
    def topics(self) -> Sequence[str]:
        return [*self.read_topics, *([self.topic] if self.events else [])]

    @property
    def producers(self) -> Sequence[str]:
        return self.expectations.producers

    @property
    def by_producer(self) -> Sequence[tuple[str, Sequence[str]]]:
        return [
            (producer, [read.short for read in self.reads if read.event.producer == producer])
            for producer in self.producers
        ]

    @property
    def views(self) -> Views:
        return views(self._classes)

    @property
    def expectations(self) -> Expectations:
        return Expectations(self.name, self._classes)

    @property
    def unread(self) -> Sequence[tuple[str, str]]:
        """Of each topic that is read one event that isn't, as far as the tests know one."""
        return [(topic, "thing.exploded.v1") for topic in self.read_topics]

    @property
    def port(self) -> int:
        taken = {*OTHER_PORTS, *(port for _, port in LISTENERS.values()), *(one.port for one in ALL.values())}
        return next(port for port in range(FIRST_PORT, FIRST_PORT + 100) if port not in taken)

    @property
    def others(self) -> Sequence[str]:
        return SERVICES

    @property
    def schema_steps(self) -> Sequence[str]:
        """What outboxed's tables are made by, as the services before have made theirs."""
        files = sorted((ROOT / "services/payments/src/payments/migrations/versions").glob("*.py"))
        return [step for file in files for step in re.findall(r"schema\.(\w+)\(\)", file.read_text())]

    @property
    def EventBase(self) -> str:  # noqa: N802 - the class in the template
        return f"{self.Noun}Event"

    @property
    def picture(self) -> str:
        """Who talks to it, as lines of a drawing."""
        lines = [f"{producer} --{', '.join(events)}--> {self.name}" for producer, events in self.by_producer]
        lines.append(f"{self.name} --PUT /v1/jobs--> partner")
        if self.events:
            lines.append(f"{self.name} --{', '.join(event.short for event in self.events)}--> whoever reads them")
        return "\n".join(f"    {line}" for line in lines)

    @property
    def _classes(self) -> Mapping[str, Published]:
        return {read.cls: read.event for read in self.reads}

    def _unused(self, *words_: str) -> str:
        return next(word for word in words_ if word not in {step.status for step in self.steps})


def _is_taken(word: str) -> bool:
    """Whether the template, or Python, uses a word otherwise: as it is, or as the name of a class."""
    means_something = any(keyword.iskeyword(one) or hasattr(builtins, one) for one in (word, camel(word)))
    return means_something or word in RESERVED or camel(word) in _classes_of_the_template()


@cache
def _classes_of_the_template() -> frozenset[str]:
    """The names that the code to be made defines or imports in the form of a class."""
    texts = (file.read_text() for file in TEMPLATE.rglob("*.py.jinja"))
    lines = (line for text in texts for line in text.splitlines() if re.match(r" *(class|from|import) ", line))
    return frozenset(name for line in lines for name in re.findall(r"\b[A-Z]\w+", line))


def plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "z", "ch", "sh")) else f"{noun}s"


def shape_of(name: str, events_read: Sequence[Published], events: Sequence[EventName]) -> Shape:
    """Raises WrongArgumentError where there is nothing to do, or where an event's class is another one, too."""
    if not events_read and not events:
        raise WrongArgumentError(f"READS or PUBLISHES is needed: which event does {name} read, which does it publish?")
    shape = Shape(name, events_read, events)
    taken = {f"{shape.Noun}{end}" for end in ("Event", "Input", "Request", "Response", "Status")}
    for event in events:
        if event.camel in taken:
            raise WrongArgumentError(
                f"PUBLISHES={event.short}: {event.what} says nothing that happened to {shape.a_noun}"
            )
    return shape
