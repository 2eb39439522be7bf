"""What a person may call a service and its events. Each refusal is one line."""

import keyword
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from shop_harness.services import LISTENERS, ROOT, SERVICES

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
EVENT = re.compile(rf"({NAME.pattern})\.({NAME.pattern})(?:\.v([1-9][0-9]*))?")
LONGEST = 24
"""Characters of a name, so that lines which are made of names stay within a line of code."""


OTHER_PROGRAMS = {"kafka", "mailbox", "postgres", "sandbox", "template0", "template1", *LISTENERS} - {*SERVICES}
"""What runs beside the services, and the databases that every server has."""
YAML_WORDS = {"false", "n", "no", "null", "off", "on", "true", "y", "yes"}
COMPOSE_KEY = re.compile(r"(?m)^  ([a-z][a-z0-9-]*):$")
"""A program of docker-compose.yml, or a volume."""


class WrongArgumentError(ValueError):
    """What was asked for can't be made; the message is one line for a person."""


@dataclass(frozen=True)
class EventName:
    """`shipment.dispatched.v1`: a thing, what happened to it, and the version of the event's form."""

    thing: str
    what: str
    version: int = 1

    @property
    def short(self) -> str:
        """Without its version."""
        return f"{self.thing}.{self.what}"

    @property
    def type(self) -> str:
        """As it is on the wire."""
        return f"{self.short}.v{self.version}"

    @property
    def full(self) -> str:
        """Thing and what happened, as one name."""
        return f"{self.thing}_{self.what}"

    @property
    def camel(self) -> str:
        """The name of its class."""
        return camel(self.full)


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def service_name(text: str) -> str:
    """A new service's name, which is also its package, database, topic and the prefix of its variables.

    Raises WrongArgumentError.
    """
    if not text:
        raise WrongArgumentError("NAME is needed: make new-service NAME=shipping READS=... PUBLISHES=...")
    name = text.replace("-", "_")
    if not NAME.fullmatch(name):
        raise WrongArgumentError(f"NAME={text}: a name has small letters, digits and single _ or -, a letter first")
    if len(name) > LONGEST:
        raise WrongArgumentError(f"NAME={text}: a name has at most {LONGEST} characters")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise WrongArgumentError(f"NAME={text}: is a word of Python")
    if name in sys.stdlib_module_names:
        raise WrongArgumentError(f"NAME={text}: is a module of Python's standard library")
    if name in SERVICES or (ROOT / "services" / name).exists():
        raise WrongArgumentError(f"NAME={text}: there is a service {name} already")
    if name in YAML_WORDS:
        raise WrongArgumentError(f"NAME={text}: is no text in YAML, where it would stand in docker-compose.yml")
    if name in _taken():
        raise WrongArgumentError(f"NAME={text}: something here is called {name} already")
    return name


def event_names(variable: str, text: str) -> Sequence[str]:
    """The events that a variable lists, with commas between. Raises WrongArgumentError."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    if twice := {name for name in names if names.count(name) > 1}:
        raise WrongArgumentError(f"{variable}: names {', '.join(sorted(twice))} twice")
    return names


def event_name(variable: str, text: str) -> EventName:
    """`shipment.dispatched`, or with its version. Raises WrongArgumentError."""
    found = EVENT.fullmatch(text)
    if not found:
        raise WrongArgumentError(f"{variable}={text}: an event is called like shipment.dispatched or shipment.sent.v1")
    thing, what, version = found[1], found[3], found[5]
    if len(thing) > LONGEST or len(what) > LONGEST:
        raise WrongArgumentError(f"{variable}={text}: each part has at most {LONGEST} characters")
    return EventName(thing, what, int(version or 1))


@cache
def _taken() -> set[str]:
    """What can be imported here, a service of that name would hide it or be hidden; what runs, and CI's workflows."""
    from importlib.metadata import packages_distributions  # noqa: PLC0415 - slow, and the last question of all

    own = {path.name for pattern in ("libs/*/src/*", "*/src/*", "*") for path in ROOT.glob(pattern) if path.is_dir()}
    workflows = {path.stem for path in ROOT.glob(".github/workflows/*.yml")}
    programs = COMPOSE_KEY.findall((ROOT / "docker-compose.yml").read_text())
    named = {name.replace("-", "_") for name in (*workflows, *programs)}
    return own | set(packages_distributions()) | OTHER_PROGRAMS | named
