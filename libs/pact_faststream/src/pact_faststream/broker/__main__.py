"""`python -m pact_faststream.broker COMMAND SERVICE`: one service's part in the broker's flow."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pact_faststream.broker.answers import BrokerError
from pact_faststream.broker.decisions import Decision, Patience, can_i_deploy, can_i_merge
from pact_faststream.broker.deployments import record_deployment
from pact_faststream.broker.publishing import publish
from pact_faststream.broker.settings import BrokerSettingError, load_settings
from pact_faststream.broker.verification import verify
from pact_faststream.broker.webhooks import create_webhook
from pact_faststream.sources import NoPactsError

FAILED, MISUSED = 1, 2

Service = Annotated[str, typer.Argument(help="The service's name in its pacts.")]
RetryWhileUnknown = Annotated[
    int, typer.Option(min=0, help="Ask again so often while a verification is missing, as `pact broker` does.")
]
RetryInterval = Annotated[float, typer.Option(min=0, help="Seconds between two questions.")]
Environment = Annotated[str, typer.Option(envvar="PACT_ENVIRONMENT", help="Its name in the broker.")]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("publish")
def _publish(
    service: Service,
    contracts: Annotated[Path, typer.Option(help="The folder that has `pacts/`.")] = Path("contracts"),
) -> None:
    """Publish what the service expects of others."""
    with _one_clear_line():
        typer.echo(publish(load_settings(), service, contracts / "pacts"))


@app.command("verify")
def _verify(
    service: Service,
    tests: Annotated[Path | None, typer.Option(help="The provider tests, in the layout of this project.")] = None,
    seconds: Annotated[float, typer.Option(help="End the tests after so long.")] = 600,
) -> None:
    """Verify what others expect of the service, and publish the results."""
    with _one_clear_line():
        lines = verify(service, tests or Path(f"services/{service}/tests/contract/test_provides.py"), seconds)
        typer.echo("\n".join(lines))


@app.command("can-i-deploy")
def _can_i_deploy(
    service: Service,
    environment: Environment = "production",
    retry_while_unknown: RetryWhileUnknown = 0,
    retry_interval: RetryInterval = 10,
) -> None:
    """Ask whether this version works with all that is in the environment."""
    with _one_clear_line():
        patience = Patience(retry_while_unknown, retry_interval, typer.echo)
        _tell(patience.ask(lambda: can_i_deploy(load_settings(), service, environment)))


@app.command("can-i-merge")
def _can_i_merge(
    service: Service, retry_while_unknown: RetryWhileUnknown = 0, retry_interval: RetryInterval = 10
) -> None:
    """Ask whether this version works with the main branches of the others."""
    with _one_clear_line():
        patience = Patience(retry_while_unknown, retry_interval, typer.echo)
        _tell(patience.ask(lambda: can_i_merge(load_settings(), service)))


@app.command("record-deployment")
def _record_deployment(service: Service, environment: Environment = "production") -> None:
    """Tell the broker that this version is in the environment now."""
    with _one_clear_line():
        typer.echo(record_deployment(load_settings(), service, environment))


@app.command("create-webhook")
def _create_webhook(service: Service) -> None:
    """Let the broker call WEBHOOK_URL when the service has a pact to verify."""
    with _one_clear_line():
        typer.echo(create_webhook(load_settings(), service))


def _tell(decision: Decision) -> None:
    typer.echo("\n".join(decision.lines))
    if not decision.yes:
        raise typer.Exit(FAILED)


@contextmanager
def _one_clear_line() -> Iterator[None]:
    try:
        yield
    except BrokerSettingError as error:
        raise _ended(error, MISUSED) from None
    except (BrokerError, NoPactsError) as error:
        raise _ended(error, FAILED) from None


def _ended(error: Exception, status: int) -> typer.Exit:
    line = " ".join(str(error).split())  # the broker's message may have several lines
    typer.echo(f"contracts: {line}", err=True)
    return typer.Exit(status)


if __name__ == "__main__":
    app()
