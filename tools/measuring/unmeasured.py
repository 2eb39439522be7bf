"""What ends a measurement: errors of the shop, of its servers and of libraries are one line for a person."""

import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from subprocess import CalledProcessError

import aiokafka.errors
import asyncpg
import sqlalchemy.exc
from backing_services.waiting import StillWaitingError
from confluent_kafka import KafkaException
from shop_harness.customers import NoAnswerError
from shop_harness.system import FOR_A_PERSON

from tools.measuring.load import LoadError

OURS = (*FOR_A_PERSON, LoadError, NoAnswerError, StillWaitingError)
OF_OTHERS = (
    aiokafka.errors.KafkaError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    BrokenExecutor,
    CalledProcessError,
    ConnectionError,
    KafkaException,
    TimeoutError,
    sqlalchemy.exc.SQLAlchemyError,
)
NOT_MEASURED = 2


@contextmanager
def one_line_for_a_person(bench: str, *more: type[Exception]) -> Iterator[None]:
    """End the process with 2 and a line on stderr for each of these errors, and for `more`. Others go through."""
    try:
        yield
    except Exception as error:
        first = _first(error)
        if not isinstance(first, (*OURS, *OF_OTHERS, *more)):
            raise
        said = str(first).partition("\n")[0] or type(first).__name__
        print(f"{bench}: {said}", file=sys.stderr)
        sys.exit(NOT_MEASURED)


def _first(error: Exception) -> Exception:
    """Of a task group's errors the first."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
