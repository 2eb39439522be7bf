"""What the e2e tests say where they can't run: a docker of our own answers what an engine would."""

import json
from pathlib import Path

import pytest

from tests.e2e.containers import why_not_here

SERVICES = {
    "kafka": {"image": "apache/kafka:4.3.1"},
    "kafka-topics": {"image": "apache/kafka:4.3.1"},
    "orders": {"image": "shop/orders:dev", "build": {"context": "."}},
    "prometheus": {"image": "prom/prometheus:v3"},
    "grafana": {"image": "grafana/grafana:13"},
}
DOCKER = """\
#!/bin/sh
here={here}
case "$1 $2" in
"compose --profile") cat {here}/services.json ;;
"image inspect") grep -qxF "$3" $here/images ;;
"pull --quiet") echo "$3" >> $here/pulled; echo Error; echo "{refusal}" >&2; exit {status} ;;
esac
"""
REFUSAL = "Error response from daemon: lookup registry: no such host"
HERE = ["apache/kafka:4.3.1", "shop/orders:dev", "prom/prometheus:v3"]


class Engine:
    """A `docker` first on the PATH, whose engine has some images."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "services.json").write_text(json.dumps({"services": SERVICES}))

    def has(self, *images: str, pulls: bool = False) -> None:
        (self._folder / "images").write_text("".join(f"{image}\n" for image in images))
        docker = self._folder / "docker"
        docker.write_text(DOCKER.format(here=self._folder, refusal=REFUSAL, status=int(not pulls)))
        docker.chmod(0o755)

    @property
    def pulled(self) -> list[str]:
        file = self._folder / "pulled"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return Engine(tmp_path)


def test_with_all_images_they_run_and_nothing_is_pulled(engine: Engine) -> None:
    engine.has(*HERE)

    assert why_not_here() is None
    assert engine.pulled == []


def test_an_image_that_is_built_here_is_not_pulled(engine: Engine) -> None:
    engine.has(*(image for image in HERE if image != "shop/orders:dev"), pulls=True)

    assert why_not_here() == "there is no image shop/orders:dev: run `make images`"
    assert engine.pulled == []


def test_an_image_that_can_be_pulled_is_pulled_once(engine: Engine) -> None:
    engine.has("shop/orders:dev", "prom/prometheus:v3", pulls=True)

    assert why_not_here() is None
    assert engine.pulled == ["apache/kafka:4.3.1"]


@pytest.mark.parametrize("image", ["apache/kafka:4.3.1", "prom/prometheus:v3"])
def test_an_image_that_nobody_has_is_named_with_what_to_do(engine: Engine, image: str) -> None:
    engine.has(*(each for each in HERE if each != image))

    assert why_not_here() == (
        f"the Docker engine has no image {image}, and can't pull it ({REFUSAL}): let it reach a registry, or run "
        "`make images-offline`"
    )
