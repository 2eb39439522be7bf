"""The command line that every service has: run, migrate, doctor, dead-letters."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

import typer
import uvloop

from outboxed import messages
from outboxed._exporting import exported_spans
from outboxed._printable import edit_of, lines_of, printable
from outboxed.errors import ConfigurationError
from outboxed.failpoints import refuse_unknown_failpoint
from outboxed.process._doctor import Finding, examine
from outboxed.process._letters import listed, listed_as_json
from outboxed.process._logs import configure_logs
from outboxed.process._service import RoleName, Service
from outboxed.settings import S, ServiceSettings, forget_libpq_variables, load
from outboxed.storage import DeadLetter, DeadLetterError, answers, is_transient, reason_of, refusal_of

T = TypeVar("T")
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
        self.typer.command("doctor", help="Look at all that the service needs, and say what to do.")(self._doctor)
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
            with (
                exported_spans(self.name),
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
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

    def _doctor(
        self, *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
    ) -> None:
        try:
            self._load()
        except ConfigurationError as error:
            findings = [Finding("settings", "failed", str(error), "put the variable right: nothing else can be asked")]
        else:
            findings = self.execute(examine, log_level="CRITICAL")
        failed = any(finding.verdict == "failed" for finding in findings)
        if as_json:
            verdict = "failed" if failed else "ok"
            document = {"service": self.name, "verdict": verdict, "findings": [asdict(each) for each in findings]}
            typer.echo(json.dumps(document, indent=2))
        else:
            for finding in findings:
                typer.echo(f"{finding.verdict:<8} {finding.about:<15} {printable(finding.found)}")
                if finding.do:
                    typer.echo(f"{'':<24} {printable(finding.do)}")
        raise typer.Exit(1 if failed else 0)


def _fail(message: str) -> typer.Exit:
    typer.echo(printable(message), err=True)
    return typer.Exit(1)


def _dead_letters(command: CommandLine) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="What failed for good: list, show, edit, replay, discard.")

    app.command("list")(_list_letters(command))

    @app.command()
    def show(letter_id: LetterId) -> None:
        """Show one dead letter with its headers and its value, which may hold personal data.

        For an edited letter, first what a replay will handle, then the original.
        """
        letter = command.execute(lambda service: service.dead_letters.show(letter_id))
        for name, value in lines_of(letter):
            typer.echo(f"{printable(name)}: {printable(value)}")

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
        try:
            changes = edit_of(key, value, header or (), remove_header or ())
        except ValueError as error:
            raise _fail(str(error)) from None
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
            raise _fail(f"dead letter {letter_id} was refused again: {messages.reason_of(error)}") from None
        typer.echo(f"dead letter {letter_id} replayed")

    @app.command()
    def discard(letter_id: LetterId) -> None:
        """Close a dead letter without handling it. The later events of an outbox row's key are sent without it."""
        command.execute(lambda service: service.dead_letters.discard(letter_id))
        typer.echo(f"dead letter {letter_id} discarded")

    return app


def _list_letters(command: CommandLine) -> Callable[..., None]:
    def list_letters(  # noqa: PLR0913 - a person narrows the list by any of them
        *,
        status: Literal["open", "replayed", "discarded"] = "open",
        source: Annotated[Literal["event", "task", "outbox"] | None, typer.Option(help="What was given up.")] = None,
        key: Annotated[str | None, typer.Option(help="Such as an order's id; also a task's group.")] = None,
        type_: Annotated[str | None, typer.Option("--type", help="An event's type, or a task's kind.")] = None,
        limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
        as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line, without a value.")] = False,
    ) -> None:
        """List dead letters, oldest first."""

        async def chosen(service: Service[Any]) -> Sequence[DeadLetter]:
            return await service.dead_letters.list(status=status, limit=limit, source=source, key=key, type_=type_)

        letters = command.execute(chosen)
        if as_json:
            listed_as_json(letters)
        else:
            more = ", or more: see --limit" if len(letters) == limit else ""
            listed(letters, title=f"{len(letters)} {status}{more}")

    return list_letters
