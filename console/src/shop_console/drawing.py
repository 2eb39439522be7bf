"""Where each part of a story's sequence diagram stands: a template makes SVG of it, and a table says the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from shop_console.story import Step, Story
from shop_console.wording import clock, duration

LEFT, COLUMN, HEAD, ROW, GAP_ROW = 110, 190, 56, 46, 26
LETTER = 6.6
"""The width of a letter of 12 px, about."""


@dataclass(frozen=True)
class Lifeline:
    name: str
    x: int


@dataclass(frozen=True)
class Arrow:
    """From `x1` to `x2` at the height `y`; inside of one lifeline both are one. `gap_y` has the words of a pause."""

    y: int
    x1: int
    x2: int
    time: str
    label: str
    kind: str
    is_problem: bool
    gap: str
    gap_y: int

    @property
    def is_inside(self) -> bool:
        return self.x1 == self.x2

    @property
    def label_x(self) -> int:
        return self.x1 + 12 if self.is_inside else (self.x1 + self.x2) // 2

    @property
    def head(self) -> str:
        """The points of the arrow's head."""
        way = 8 if self.x2 < self.x1 else -8
        return f"{self.x2},{self.y} {self.x2 + way},{self.y - 4} {self.x2 + way},{self.y + 4}"


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    lifelines: Sequence[Lifeline]
    arrows: Sequence[Arrow]


def draw(story: Story) -> Drawing:
    """Lay a story out; the first lifeline is on the left."""
    xs = {name: LEFT + COLUMN // 2 + COLUMN * number for number, name in enumerate(story.participants)}
    arrows, y = [], HEAD
    for step in story.steps:
        gap_y = y + GAP_ROW - 8
        y += ROW + (GAP_ROW if step.gap is not None else 0)
        arrows.append(_arrow(step, y, gap_y, xs))
    width = LEFT + COLUMN * max(1, len(xs)) + 40
    return Drawing(width, y + 30, [Lifeline(name, x) for name, x in xs.items()], arrows)


def _arrow(step: Step, y: int, gap_y: int, xs: dict[str, int]) -> Arrow:
    x1, x2 = xs[step.source], xs[step.target]
    words = f"{step.what}: {step.note}" if step.is_inside and step.note else step.what
    took = f" · {duration(step.seconds)}" if step.seconds is not None else ""
    room = COLUMN * 1.3 if x1 == x2 else max(COLUMN, abs(x2 - x1))
    return Arrow(
        y=y,
        x1=x1,
        x2=x2,
        time=clock(step.at),
        label=_cut(words, int(room / LETTER) - len(took)) + took,
        kind=step.kind.replace(" ", "-"),
        is_problem=step.is_problem,
        gap=f"{duration(step.gap)} later" if step.gap is not None else "",
        gap_y=gap_y,
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
