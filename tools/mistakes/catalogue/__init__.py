"""The mistakes, by the part of the tree that they are made in. A new one is an entry in one of these files."""

from collections.abc import Mapping, Sequence

from tools.mistakes.catalogue import (
    around,
    callers,
    console,
    consuming,
    contracts,
    database,
    delivery,
    deployment,
    joining,
    libraries,
    money,
    pipeline,
    process,
    relay,
    settings,
    tasks,
    telling,
)
from tools.mistakes.mistake import Mistake

BY_PART: Mapping[str, Sequence[Mistake]] = {
    "contracts": contracts.MISTAKES,
    "delivery": delivery.MISTAKES,
    "money": money.MISTAKES,
    "callers": callers.MISTAKES,
    "relay": relay.MISTAKES,
    "consuming": consuming.MISTAKES,
    "tasks": tasks.MISTAKES,
    "process": process.MISTAKES,
    "telling": telling.MISTAKES,
    "database": database.MISTAKES,
    "joining": joining.MISTAKES,
    "settings": settings.MISTAKES,
    "deployment": deployment.MISTAKES,
    "pipeline": pipeline.MISTAKES,
    "libraries": libraries.MISTAKES,
    "console": console.MISTAKES,
    "around": around.MISTAKES,
}
