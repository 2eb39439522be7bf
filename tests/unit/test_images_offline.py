"""deploy/images/build in a copy, where a program in the place of Docker's says that every stand-in is there already."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.scratch import ROOT

from ..compose import CONTAINERS

MADE_OF = ("pyproject.toml", "uv.lock", "sandbox/Dockerfile", "sandbox/pyproject.toml")
STAND_INS = Path("deploy/images/offline.env")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """As much of the repository as the script looks at."""
    for folder in ("deploy/images", "sandbox/src"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", STAND_INS.name))
    for file in MADE_OF:
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def build(shop: Path) -> str:
    """What it says."""
    programs, jars = shop / "programs", shop / "4.3.1/jars"
    for folder in (programs, jars):
        folder.mkdir(parents=True)
    for name, does in {"docker": "exit 0", "python3": f"echo {jars}"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHON": str(programs / "python3"),
        "SSL_CERT_FILE": os.devnull,
    }
    script = [str(shop / "deploy/images/build")]
    return subprocess.run(script, env=environment, check=True, capture_output=True, text=True).stdout  # noqa: S603 - ours


def test_a_persons_own_env_stays_as_it_is_and_they_are_told_how_to_take_both(shop: Path) -> None:
    (shop / ".env").write_text("KAFKA_PORT=19092\n")

    said = build(shop)

    assert not (shop / ".env").is_symlink()
    assert (shop / ".env").read_text() == "KAFKA_PORT=19092\n"
    assert f"docker compose --env-file .env --env-file {STAND_INS}" in said


@pytest.mark.parametrize("before", [None, "gone.env"])
def test_where_nobody_has_an_env_of_their_own_compose_takes_the_stand_ins(shop: Path, before: str | None) -> None:
    if before:
        (shop / ".env").symlink_to(before)  # of an earlier run, or of a folder that has moved

    build(shop)

    assert (shop / ".env").readlink() == STAND_INS


def test_every_stand_in_is_of_an_image_that_can_be_changed_by_its_variable(shop: Path) -> None:
    build(shop)

    variables = re.findall(r"^(\w+)=shop-stand-in/\S+:\S+$", (shop / STAND_INS).read_text(), re.MULTILINE)
    changeable = {re.findall(r"\w+", container["image"])[0] for container in CONTAINERS.values()}
    assert len(variables) >= 6
    assert {*variables} - changeable == {"PYTHON_IMAGE"}, "what ours are built on"
