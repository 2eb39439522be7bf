"""The command line that every service has: run, migrate, dead-letters."""

import asyncio
import base64
import gc
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from outboxed.consuming import Content, DeadLetter, DeadLetterError, Edit
from outboxed.errors import ConfigurationError
from outboxed.failpoints import refuse_unknown_failpoint
from outboxed.process._logs import configure_logs
from outboxed.process._service import RoleName, Service
from outboxed.settings import S, ServiceSettings, forget_libpq_variables, load
from outboxed.storage import answers, is_transient, reason_of, refusal_of

T = TypeVar("T")
PIPED_WIDTH = 250
RoleOption = Annotated[RoleName, typer.Option("--role", help="What this process does.")]
LetterId = Annotated[int, typer.Argument(help="The number in the list.", min=1, max=2**63 - 1)]


class CommandLine:
    """`python -m <service>`; a service adds commands of its own to `typer`."""

    def __init__(self, name: str, settings: type[S], build: Callable[[S], Service[Any]]) -> None:
        self.name = name
        self._load: Callable[[], ServiceSettings] = lambda: load(settings)
        self._build: Callable[[Any], Service[Any]] = build
        self.typer = typer.Typer(no_args_is_help=False, add_completion=False, pretty_exceptions_enable=False)
        self.typer.callback(invoke_without_command=True)(self._default)
        self.typer.command("run", help="Run the service until SIGTERM.")(self._run)
        self.typer.command("migrate", help="Bring the database to this code's schema.")(self._migrate)
        self.typer.add_typer(_dead_letters(self), name="dead-letters")

    def __call__(self) -> None:
        """Parse the arguments and run; an error for a person is one line on standard error."""
        gc.freeze()  # imported objects live until the end: the garbage collector need not look at them
        forget_libpq_variables()
        self.typer()

    def execute(self, use: Callable[[Service[Any]], Awaitable[T]], *, log_level: str = "WARNING") -> T:
        """Build the service, run `use` with it and close it; few logs, so that a command's output stays readable."""

        async def run() -> T:
            service = self._build(settings)
            try:
                return await use(service)
            finally:
                await service.close()

        try:
            settings = self._load()
            refuse_unknown_failpoint()
            configure_logs(service=self.name, level=log_level or settings.log_level)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(run())
        except (ConfigurationError, DeadLetterError) as error:
            raise _fail(f"{self.name}: {error}") from None
        except Exception as error:
            if refusal := refusal_of(error):
                raise _fail(f"{self.name}: {settings.variable('database_url')}: {refusal}") from None
            if is_transient(error):
                verb = "refuses" if answers(error) else "does not answer"
                where = settings.database_url.address
                raise _fail(f"{self.name}: the database at {where} {verb}: {reason_of(error)}") from None
            raise

    def _default(self, context: typer.Context, role: RoleOption = "all") -> None:
        if context.invoked_subcommand is None:
            self._run(role)

    def _run(self, role: RoleOption = "all") -> None:
        raise typer.Exit(self.execute(lambda service: service.run(role), log_level=""))

    def _migrate(self) -> None:
        self.execute(lambda service: service.migrate())


def _fail(message: str) -> typer.Exit:
    typer.echo(_printable(message), err=True)
    return typer.Exit(1)


def _dead_letters(command: CommandLine) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="What failed for good: list, show, edit, replay, discard.")

    @app.command("list")
    def list_letters(
        status: Literal["open", "replayed", "discarded"] = "open",
        limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    ) -> None:
        """List dead letters, oldest first."""
        letters = command.execute(lambda service: service.dead_letters.list(status=status, limit=limit))
        table = Table(
            "id", "source", "topic or task", "position", "failed at", "reason", title=f"{len(letters)} {status}"
        )
        for letter in letters:
            table.add_row(
                str(letter.id),
                letter.source,
                Text(_printable(letter.topic)),
                Text(_printable(_position(letter))),
                f"{letter.failed_at:%F %T}",
                Text(_printable(letter.reason)),
            )
        console = Console()
        # a file or a pipe has no width: fold nothing
        console.print(table, width=None if console.is_terminal else PIPED_WIDTH)

    @app.command()
    def show(letter_id: LetterId) -> None:
        """Show one dead letter with its headers and its value, which may hold personal data.

        For an edited letter, first what a replay will handle, then the original.
        """
        letter = command.execute(lambda service: service.dead_letters.show(letter_id))
        for name, value in _lines(letter):
            typer.echo(f"{_printable(name)}: {_printable(value)}")

    @app.command()
    def edit(
        letter_id: LetterId,
        *,
        key: Annotated[str | None, typer.Option(metavar="TEXT", help="The new key.")] = None,
        value: Annotated[str | None, typer.Option(metavar="FILE", help="Has the new value; - is stdin.")] = None,
        header: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="New header; repeatable.")] = None,
        remove_header: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Repeatable.")] = None,
    ) -> None:
        """Change what a replay will handle; the original is kept beside it."""
        changes = _edit(key, value, header or (), remove_header or ())
        command.execute(lambda service: service.dead_letters.edit(letter_id, changes))
        typer.echo(f"dead letter {letter_id} edited; `dead-letters show` shows both, `dead-letters replay` handles it")

    @app.command()
    def replay(letter_id: LetterId) -> None:
        """Handle a dead letter again in this service, in one transaction; nothing that was read is republished.

        A row of the outbox goes back to its place, and the relay sends it before the later events of its key.
        """
        try:
            command.execute(lambda service: service.dead_letters.replay(letter_id))
        except typer.Exit:
            raise
        except Exception as error:  # noqa: BLE001 - a person wants to see whatever the handler raised
            raise _fail(f"dead letter {letter_id} was refused again: {type(error).__name__}: {error}") from None
        typer.echo(f"dead letter {letter_id} replayed")

    @app.command()
    def discard(letter_id: LetterId) -> None:
        """Close a dead letter without handling it. The later events of an outbox row's key are sent without it."""
        command.execute(lambda service: service.dead_letters.discard(letter_id))
        typer.echo(f"dead letter {letter_id} discarded")

    return app


def _edit(key: str | None, value: str | None, headers: Sequence[str], removed_headers: Sequence[str]) -> Edit:
    if key is None and value is None and not headers and not removed_headers:
        raise _fail("nothing to change: give --key, --value, --header or --remove-header")
    return Edit(
        key=None if key is None else key.encode(),
        value=None if value is None else _read(value),
        headers=dict(_parse_header(each) for each in headers),
        removed_headers=removed_headers,
    )


def _read(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise _fail(f"can't read {path}: {error.strerror}") from None


def _parse_header(text: str) -> tuple[str, bytes]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise _fail(f"--header must be NAME=VALUE, not {text!r}")
    return name, value.encode()


def _position(letter: DeadLetter) -> str:
    if letter.source == "event":
        return f"{letter.partition}/{letter.offset}"
    return f"row {letter.offset}" if letter.source == "outbox" else _text(letter.key)


def _lines(letter: DeadLetter) -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = [
        ("id", letter.id),
        ("source", letter.source),
        ("status", letter.status),
        ("topic or task", letter.topic),
        ("position", _position(letter)),
        ("failed at", letter.failed_at.isoformat()),
        ("reason", letter.reason),
    ]
    if letter.edited_at is None:
        return [*lines, *_content_lines(letter.original)]
    original = [(f"original {name}", value) for name, value in _content_lines(letter.original)]
    return [*lines, ("edited at", letter.edited_at.isoformat()), *_content_lines(letter.content), *original]


def _content_lines(content: Content) -> list[tuple[str, object]]:
    headers = [(f"header {name}", _text(value)) for name, value in content.headers]
    return [("key", _text(content.key)), *headers, ("value", _text(content.value))]


def _text(raw: bytes | None) -> str:
    if raw is None:
        return "null"
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return f"base64 {base64.b64encode(raw).decode()}"


def _printable(value: object) -> str:
    """As one line: anybody may have sent what a record holds, and a terminal obeys control characters."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(value))
