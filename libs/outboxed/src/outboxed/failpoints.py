"""Failpoints: the steps between "received" and "done" at which a test can end the process, as a crash would.

`OUTBOXED_FAILPOINT=relay.delete:before` kills the process (SIGKILL) when it reaches that step, `:after` when the step
is done, `:after@2` when the step is done for the second time. The variable is read once, at import. Without the
variable a step is the plain function and costs nothing. Production refuses the variable: see settings.py.
"""

import inspect
import os
import re
import signal
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import count
from typing import Any, TypeVar

from outboxed.errors import ConfigurationError

VARIABLE = "OUTBOXED_FAILPOINT"
CHOSEN = os.environ.get(VARIABLE, "")
"""The variable's value when this process began; empty in a normal process."""
_FORM = re.compile(r"(?P<step>[a-z_.]+):(?P<side>before|after)(@(?P<nth>[1-9][0-9]*))?")

F = TypeVar("F", bound=Callable[..., Any])
_chosen = _FORM.fullmatch(CHOSEN)
_steps: set[str] = set()


def failpoint(step: str) -> Callable[[F], F]:
    """Name a function or a coroutine function as a step; it is returned unchanged unless the step was chosen."""

    def mark(function: F) -> F:
        _steps.add(step)
        if _chosen is None or _chosen["step"] != step:
            return function
        deadly: F = _deadly(function, side=_chosen["side"], nth=int(_chosen["nth"] or 1))
        return deadly

    return mark


def steps() -> Sequence[str]:
    """The names of all steps in the modules that were imported so far."""
    return sorted(_steps)


def refuse_unknown_failpoint() -> None:
    """Call this after all imports. Raises ConfigurationError, which lists the steps, for an unknown one."""
    if CHOSEN and (_chosen is None or _chosen["step"] not in _steps):
        raise ConfigurationError(
            f"{VARIABLE}={CHOSEN}: must be a step and a side, such as relay.delete:before or relay.delete:after@2; "
            f"the steps are {', '.join(steps())}"
        )


def _deadly(function: Any, *, side: str, nth: int) -> Any:
    times = count(1)

    def reached(now: str) -> None:
        if now == side and next(times) == nth:
            # not an exception or an exit: no cleanup of this process may run
            os.kill(os.getpid(), signal.SIGKILL)

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def step(*arguments: Any, **named: Any) -> Any:
            reached("before")
            outcome = await function(*arguments, **named)
            reached("after")
            return outcome

        return step

    @wraps(function)
    def plain_step(*arguments: Any, **named: Any) -> Any:
        reached("before")
        outcome = function(*arguments, **named)
        reached("after")
        return outcome

    return plain_step
