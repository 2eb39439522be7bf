"""The mistakes, by the part of the tree that they are made in. A new one is an entry in one of these files."""

from collections.abc import Mapping, Sequence

from tools.mistakes.catalogue import (
    around,
    callers,
    consuming,
    contracts,
    database,
    delivery,
    deployment,
    money,
    pipeline,
    process,
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
    "consuming": consuming.MISTAKES,
    "tasks": tasks.MISTAKES,
    "process": process.MISTAKES,
    "telling": telling.MISTAKES,
    "database": database.MISTAKES,
    "settings": settings.MISTAKES,
    "deployment": deployment.MISTAKES,
    "pipeline": pipeline.MISTAKES,
    "around": around.MISTAKES,
}
