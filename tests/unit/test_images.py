"""What the images must be: each line of a Dockerfile that nothing here would miss is a mistake that nobody sees."""

import json
import re
from pathlib import Path

import pytest
import yaml
from outboxed.healthcheck import TIMEOUT_SECONDS
from shop_harness.services import SERVICES

from tools.pythons.interpreters import SUPPORTED

ROOT = Path(__file__).parents[2]
OURS = {
    **{service: ROOT / "services" / service / "Dockerfile" for service in SERVICES},
    "sandbox": ROOT / "sandbox/Dockerfile",
    "console": ROOT / "console/Dockerfile",
}
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|PRIVATE|CREDENTIAL", re.IGNORECASE)
ROOTS = {"0", "root"}


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments, each on one line."""
    lines = [line for line in OURS[name].read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in "\n".join(lines).replace("\\\n", " ").splitlines()]  # type: ignore[misc]


def last_stage(name: str) -> list[tuple[str, str]]:
    """What the image itself is made by; the stages before it only build."""
    every = instructions(name)
    begin = max(at for at, (word, _) in enumerate(every) if word == "FROM")
    return every[begin:]


@pytest.mark.parametrize("name", OURS)
def test_an_image_runs_as_a_user_that_kubernetes_can_see_is_not_root(name: str) -> None:
    users = [argument for word, argument in last_stage(name) if word == "USER"]

    assert users, f"{name}'s image runs as root"
    assert users[-1].isdigit(), f"USER {users[-1]} has to be a number"
    assert not ROOTS & set(users)


@pytest.mark.parametrize("name", OURS)
def test_an_image_takes_what_is_locked_and_nothing_for_development(name: str) -> None:
    syncs = [argument for word, argument in instructions(name) if word == "RUN" and "uv sync" in argument]

    assert syncs
    assert [sync for sync in syncs if "--frozen" not in sync or "--no-dev" not in sync] == []


@pytest.mark.parametrize("name", OURS)
def test_an_image_says_what_it_is_and_of_which_revision(name: str) -> None:
    labels = " ".join(argument for word, argument in last_stage(name) if word == "LABEL")

    assert set(re.findall(r"org\.opencontainers\.image\.(\w+)=", labels)) == {
        "title",
        "description",
        "licenses",
        "revision",
    }
    assert 'image.revision="${REVISION}"' in labels


@pytest.mark.parametrize("name", [*SERVICES, "console"])
def test_an_image_asks_whether_its_process_lives_not_whether_it_is_ready(name: str) -> None:
    [check] = [argument for word, argument in last_stage(name) if word == "HEALTHCHECK"]

    assert f"${name.upper()}_HTTP_PORT/health/live" in check
    assert {"--interval", "--timeout", "--start-period", "--retries"} <= set(re.findall(r"--[a-z-]+", check))
    [timeout] = re.findall(r"--timeout=(\d+)s", check)
    assert int(timeout) > TIMEOUT_SECONDS, "docker would cut the check off, and call a slow process dead"


@pytest.mark.parametrize("name", OURS)
def test_an_image_runs_its_program_itself(name: str) -> None:
    """Not by a shell, which would be the first process and pass no SIGTERM on: each stop would be a kill.

    All of it: with a role such as `api` nothing would be sent, read or charged unless somebody starts the others.
    """
    [command] = [argument for word, argument in last_stage(name) if word == "CMD"]
    program = {"console": ["shop_console", "run"], "sandbox": ["payment_gateway"]}.get(name, [name])

    assert json.loads(command) == ["python", "-m", *program]
    assert [word for word, _ in last_stage(name) if word in {"ENTRYPOINT", "STOPSIGNAL", "SHELL"}] == []


@pytest.mark.parametrize("name", OURS)
def test_an_image_has_its_code_compiled_and_loses_no_line_of_its_log(name: str) -> None:
    """Compiled when it is built: a container may not write to its own image, and would compile at each start."""
    built = " ".join(argument for word, argument in instructions(name) if word == "ENV")
    runs = " ".join(argument for word, argument in last_stage(name) if word == "ENV")

    assert {"UV_COMPILE_BYTECODE=1", "UV_LINK_MODE=copy", "UV_PYTHON_DOWNLOADS=never"} <= set(built.split())
    assert {"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "PATH=/app/.venv/bin:$PATH"} <= set(runs.split())


@pytest.mark.parametrize("name", OURS)
def test_an_image_has_its_packages_as_they_are_installed_and_its_user_changes_none(name: str) -> None:
    last_sync = [argument for word, argument in instructions(name) if word == "RUN" and "uv sync" in argument][-1]
    copies = [argument for word, argument in last_stage(name) if word == "COPY"]

    assert "--no-editable" in last_sync.split(), "an editable one would lead to a folder that isn't there"
    assert copies
    assert [copy for copy in copies if not copy.startswith("--from=build ") or "--chown" in copy] == []
    assert [argument for word, argument in instructions(name) if "777" in argument or "o+w" in argument] == []
    assert [argument for word, argument in last_stage(name) if word == "RUN" and "chmod" in argument] == []


@pytest.mark.parametrize("name", OURS)
def test_an_image_exposes_what_its_program_listens_to(name: str) -> None:
    [exposed] = [argument.split() for word, argument in last_stage(name) if word == "EXPOSE"]
    container = "payment-gateway" if name == "sandbox" else name
    published = [port.rpartition(":")[2] for port in COMPOSE[container]["ports"]]

    assert set(published) <= set(exposed)
    if name != "sandbox":
        assert exposed == published
        assert f"{name.upper()}_HTTP_PORT={published[0]}" in (OURS[name]).read_text()


@pytest.mark.parametrize("name", OURS)
def test_an_image_has_the_oldest_python_that_is_supported_and_nobody_logs_in(name: str) -> None:
    text = OURS[name].read_text()

    assert re.findall(r"^ARG PYTHON_IMAGE=python:(3\.\d+)-slim-\w+$", text, re.MULTILINE) == [SUPPORTED[0]]
    assert "useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin service" in text


@pytest.mark.parametrize("name", OURS)
def test_no_secret_is_in_an_image(name: str) -> None:
    known = [argument for word, argument in instructions(name) if word in {"ENV", "ARG", "COPY", "ADD"}]

    assert [argument for argument in known if SECRET.search(argument) or ".env" in argument] == []


@pytest.mark.parametrize("name", OURS)
def test_nothing_of_an_image_is_fetched_but_its_python_and_its_packages(name: str) -> None:
    every = instructions(name)

    assert [argument for word, argument in every if word == "ADD"] == []
    assert {argument.split()[0] for word, argument in every if word == "FROM"} == {"${PYTHON_IMAGE}"}


def test_the_build_sees_what_the_images_are_made_of_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]

    assert lines[0] == "*"
    assert {line for line in lines if line.startswith("!")} == {
        "!pyproject.toml",
        "!uv.lock",
        "!libs/outboxed",
        "!services/*",
        "!sandbox",
        "!console",
        "!contracts/pacts",
    }
    last_allowed = max(at for at, line in enumerate(lines) if line.startswith("!"))
    assert {"**/tests", "**/__pycache__", "**/.*"} <= set(lines[last_allowed + 1 :])
