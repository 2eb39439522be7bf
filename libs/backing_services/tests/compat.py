"""What these tests use of pytest and Python beside their public interface, to fork a pytest that is imported already.

pytest has no list of its modules, and Python no way to end a fork as a program ends. Where the list is gone, each run
only takes longer.
"""

import atexit
from collections.abc import Sequence


def modules_of_pytest() -> Sequence[str]:
    """What every run of pytest imports."""
    from _pytest import config  # noqa: PLC0415 - the one place that knows

    return [f"_pytest.{name}" for name in getattr(config, "default_plugins", ())]


def run_exit_functions() -> None:
    """What os._exit leaves out."""
    atexit._run_exitfuncs()  # noqa: SLF001 - see above
