"""Who depends on whom, as a page shows it: the committed pacts, with what the Pact Broker says of each."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from shop_console.broker import Broker, BrokerError, Contract, State
from shop_console.pacts import UnreadableError, read
from shop_console.settings import Settings

KNOWN_FOR = 30.0
"""Seconds: a build may take minutes to change what the broker says."""
NO_FOLDER = "It isn't known who depends on whom: set CONSOLE_CONTRACTS to the pacts' folder, such as contracts/pacts"
NO_BROKER = (
    "The contracts' state isn't known: set PACT_BROKER_BASE_URL to the address of the Pact Broker, and "
    "PACT_BROKER_TOKEN, or PACT_BROKER_USERNAME and PACT_BROKER_PASSWORD, where it has a login"
)
LEFT, WIDTH, BETWEEN, PORT, TOP, GAP = 10, 160, 260, 40, 40, 16
"""Of the picture, in pixels: each pact has a height of its own at both of its ends."""


@dataclass(frozen=True)
class Told:
    """All contracts; `hint` says what could be known besides, `problem` what went wrong, each with what to do."""

    contracts: Sequence[Contract] = ()
    hint: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Line:
    """A contract in the picture, from its consumer at `x1`, `y1` to its provider."""

    x1: int
    y1: int
    x2: int
    y2: int
    state: State

    @property
    def label_y(self) -> int:
        """Of the state's word, on the side from which the line goes away."""
        return self.y1 - 5 if self.y2 >= self.y1 else self.y1 + 13

    @property
    def kind(self) -> str:
        return self.state.replace(" ", "-")


@dataclass(frozen=True)
class Box:
    """A participant, as high as its pacts need; `x` and `y` are its upper left corner."""

    name: str
    x: int
    y: int
    height: int


@dataclass(frozen=True)
class Picture:
    """Consumers on the left, providers on the right: who is both stands on both sides."""

    width: int
    height: int
    boxes: Sequence[Box]
    lines: Sequence[Line]


@dataclass
class Contracts:
    """What the page is told: the pacts of the folder, and for a while what the broker said of them."""

    folder: Path | None
    broker: Broker | None
    _told: Told | None = None
    _until: float = 0.0

    @classmethod
    def of(cls, settings: Settings, http: httpx.AsyncClient) -> Self:
        return cls(settings.contracts, Broker.of(settings, http))

    async def told(self) -> Told:
        """Whatever fails is a sentence."""
        clock = asyncio.get_running_loop().time
        if self._told is None or clock() >= self._until:
            self._told, self._until = await self._tell(), clock() + KNOWN_FOR
        return self._told

    async def _tell(self) -> Told:
        if self.folder is None:
            return Told(hint=NO_FOLDER)
        try:
            pacts = read(self.folder)
        except UnreadableError as error:
            return Told(problem=str(error))
        unknown = [Contract(pact) for pact in pacts]
        if not pacts:
            return Told(hint=f"There is no pact in {self.folder}: `make contracts` makes them")
        if self.broker is None:
            return Told(unknown, hint=NO_BROKER)
        try:
            return Told(await self.broker.contracts(pacts))
        except BrokerError as error:
            problem = f"The contracts' state isn't known: the Pact Broker at {self.broker.url} {error}"
            return Told(unknown, problem=problem)


def picture(contracts: Sequence[Contract]) -> Picture:
    """Lay the contracts out."""
    consumers = _Side(LEFT, [each.pact.consumer for each in contracts])
    providers = _Side(LEFT + WIDTH + BETWEEN, [each.pact.provider for each in contracts])
    lines = [
        Line(
            LEFT + WIDTH,
            consumers.end(each.pact.consumer),
            LEFT + WIDTH + BETWEEN,
            providers.end(each.pact.provider),
            each.state,
        )
        for each in contracts
    ]
    height = max(side.height for side in (consumers, providers))
    return Picture(2 * (LEFT + WIDTH) + BETWEEN, height, [*consumers.boxes, *providers.boxes], lines)


class _Side:
    """A column of boxes, one a name, each with an end for each time that it's named."""

    def __init__(self, x: int, names: Sequence[str]) -> None:
        self.boxes: list[Box] = []
        self.height = TOP
        self._ends: dict[str, Iterator[int]] = {}
        for name, times in Counter(names).items():
            self.boxes.append(Box(name, x, self.height, PORT * times))
            self._ends[name] = iter(range(self.height + PORT // 2, self.height + PORT * times, PORT))
            self.height += PORT * times + GAP

    def end(self, name: str) -> int:
        """The height of the next free end of a box."""
        return next(self._ends[name])
