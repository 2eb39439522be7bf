"""A story as a sequence diagram in Mermaid's language, for an issue or a page elsewhere."""

from collections.abc import Iterator

from shop_console.story import CUSTOMER, Kind, Step, Story

OPEN_ARROW = {Kind.EVENT: "-)", Kind.MAIL: "-)"}


def mermaid(story: Story) -> str:
    """The text, without a fence."""
    return "\n".join(["sequenceDiagram", *_participants(story), *_lines(story)]) + "\n"


def _participants(story: Story) -> Iterator[str]:
    for number, name in enumerate(story.participants):
        yield f"    {'actor' if name == CUSTOMER else 'participant'} p{number} as {_text(name)}"


def _lines(story: Story) -> Iterator[str]:
    ids = {name: f"p{number}" for number, name in enumerate(story.participants)}
    for step in story.steps:
        if step.gap is not None:
            yield f"    Note over {ids[step.source]}: {step.gap:.1f} s later"
        yield f"    {_step(step, ids)}"


def _step(step: Step, ids: dict[str, str]) -> str:
    note = f" ({step.note})" if step.note else ""
    if step.is_inside:
        return f"Note over {ids[step.source]}: {_text(step.what + note)}"
    return f"{ids[step.source]}{OPEN_ARROW.get(step.kind, '->>')}{ids[step.target]}: {_text(step.what + note)}"


def _text(text: str) -> str:
    """Mermaid ends a text at ; and a line end, and reads # as the beginning of a character's number."""
    return " ".join(text.replace("#", "#35;").replace(";", "#59;").replace("#35#59;", "#35;").split())
