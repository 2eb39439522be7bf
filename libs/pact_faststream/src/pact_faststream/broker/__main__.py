"""`python -m pact_faststream.broker COMMAND SERVICE`: one service's part in the broker's flow."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pact_faststream._extras import extra_of_command

with extra_of_command("commands", of="python -m pact_faststream.broker"):
    import typer

    from pact_faststream.broker import deployments, versions
    from pact_faststream.broker.answers import BrokerError
    from pact_faststream.broker.decisions import Decision, Patience, can_i_deploy, can_i_merge
    from pact_faststream.broker.publishing import publish
    from pact_faststream.broker.settings import BrokerSettingError, load_settings, project_here
    from pact_faststream.broker.verification import verify
    from pact_faststream.broker.webhooks import create_webhook
    from pact_faststream.sources import NoPactsError

FAILED, MISUSED = 1, 2
COMMIT = re.compile(r"(?<![/\w])([0-9a-f]{8})[0-9a-f]{32}(?![/\w])")
"""A whole commit, but not within an address."""

Service = Annotated[str, typer.Argument(help="The service's name in its pacts.")]
RetryWhileUnknown = Annotated[int, typer.Option(min=0, help="Ask again so often while a verification is missing.")]
RetryInterval = Annotated[float, typer.Option(min=0, help="Seconds between two questions.")]
Ignore = Annotated[list[str] | None, typer.Option(help="A participant that doesn't count; may stand several times.")]
Environment = Annotated[str, typer.Option(envvar="PACT_ENVIRONMENT", help="Its name in the broker.")]
Instance = Annotated[str | None, typer.Option(help="Which of several instances of the service in the environment.")]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("publish")
def _publish(
    service: Service,
    contracts: Annotated[Path | None, typer.Option(help="The folder that has `pacts/`.")] = None,
) -> None:
    """Publish what the service expects of others."""
    with _one_clear_line():
        folder = contracts or project_here().contracts
        _say(publish(load_settings(), service, folder / "pacts"))


@app.command("verify")
def _verify(
    service: Service,
    tests: Annotated[Path | None, typer.Option(help="The provider tests, instead of those in pyproject.toml.")] = None,
    seconds: Annotated[float, typer.Option(help="End the tests after so long.")] = 600,
) -> None:
    """Verify what others expect of the service, and publish the results."""
    with _one_clear_line():
        project = project_here()
        _say("\n".join(verify(service, tests or project.provider_tests(service), project.root, seconds)))


@app.command("register-version")
def _register_version(service: Service) -> None:
    """Make this version known, also without pacts, with the addresses of its build and its code."""
    with _one_clear_line():
        _say(versions.register_version(load_settings(), service))


@app.command("can-i-deploy")
def _can_i_deploy(
    service: Service,
    environment: Environment = "production",
    ignore: Ignore = None,
    retry_while_unknown: RetryWhileUnknown = 0,
    retry_interval: RetryInterval = 10,
) -> None:
    """Ask whether this version works with all that is in the environment."""
    with _one_clear_line():
        patience = Patience(retry_while_unknown, retry_interval, _say)
        _tell(patience.ask(lambda: can_i_deploy(load_settings(), service, environment, ignore or ())))


@app.command("can-i-merge")
def _can_i_merge(
    service: Service,
    ignore: Ignore = None,
    retry_while_unknown: RetryWhileUnknown = 0,
    retry_interval: RetryInterval = 10,
) -> None:
    """Ask whether this version works with the main branches of the others."""
    with _one_clear_line():
        patience = Patience(retry_while_unknown, retry_interval, _say)
        _tell(patience.ask(lambda: can_i_merge(load_settings(), service, ignore or ())))


@app.command("record-deployment")
def _record_deployment(service: Service, environment: Environment = "production", instance: Instance = None) -> None:
    """Tell the broker that this version is in the environment now, in the place of the one before."""
    with _one_clear_line():
        _say(deployments.record_deployment(load_settings(), service, environment, instance))


@app.command("record-undeployment")
def _record_undeployment(service: Service, environment: Environment = "production", instance: Instance = None) -> None:
    """Tell the broker that the service is not in the environment any more."""
    with _one_clear_line():
        _say(deployments.record_undeployment(load_settings(), service, environment, instance))


@app.command("record-release")
def _record_release(service: Service, environment: Environment = "production") -> None:
    """Tell the broker that this version is in the environment beside the earlier ones, as a library or an app is."""
    with _one_clear_line():
        _say(deployments.record_release(load_settings(), service, environment))


@app.command("record-support-ended")
def _record_support_ended(service: Service, environment: Environment = "production") -> None:
    """Tell the broker that this released version need not work any more."""
    with _one_clear_line():
        _say(deployments.record_support_ended(load_settings(), service, environment))


@app.command("delete-branch")
def _delete_branch(service: Service, branch: Annotated[str, typer.Argument(help="A branch that is done.")]) -> None:
    """Delete a branch of the service in the broker, so that nobody verifies its pacts any more."""
    with _one_clear_line():
        _say(versions.delete_branch(load_settings(), service, branch))


@app.command("create-environment")
def _create_environment(
    name: Annotated[str, typer.Argument(help="Such as test or production.")],
    production: Annotated[bool, typer.Option("--production", help="Real customers use it.")] = False,  # noqa: FBT002 - typer's way to declare a flag
) -> None:
    """Make an environment, once, before versions are recorded in it."""
    with _one_clear_line():
        _say(deployments.create_environment(load_settings(), name, is_production=production))


@app.command("create-webhook")
def _create_webhook(service: Service) -> None:
    """Let the broker call WEBHOOK_URL when the service has a pact to verify."""
    with _one_clear_line():
        _say(create_webhook(load_settings(), service))


def _tell(decision: Decision) -> None:
    _say("\n".join(decision.lines))
    if not decision.yes:
        raise typer.Exit(FAILED)


def _say(text: str, *, err: bool = False) -> None:
    typer.echo(COMMIT.sub(r"\1", text), err=err)


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
    _say(f"contracts: {line}", err=True)
    return typer.Exit(status)


if __name__ == "__main__":
    app()
