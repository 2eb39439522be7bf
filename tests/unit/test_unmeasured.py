"""What ends a bench that could not measure."""

import subprocess
from concurrent.futures.process import BrokenProcessPool

import aiokafka.errors
import asyncpg
import pytest

from tools.measuring.unmeasured import NOT_MEASURED, one_line_for_a_person


@pytest.mark.parametrize(
    "error",
    [
        subprocess.CalledProcessError(1, ["uv"]),
        aiokafka.errors.KafkaConnectionError("no broker"),
        asyncpg.UndefinedTableError("no table\nDETAIL: none"),
        BrokenProcessPool("a process ended"),
        ExceptionGroup("tasks", [ConnectionRefusedError("refused")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_a_library_is_one_line_for_a_person(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, one_line_for_a_person("tasks"):
        raise error

    assert ended.value.code == NOT_MEASURED
    told = capsys.readouterr().err
    assert told.startswith("tasks: ")
    assert told.count("\n") == 1


def test_an_error_of_our_own_code_keeps_its_traceback() -> None:
    with pytest.raises(KeyError), one_line_for_a_person("tasks"):
        raise KeyError("a mistake")
