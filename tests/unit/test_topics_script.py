"""deploy/kafka/create-topics.sh, with a program in the place of Kafka's that writes down how it is called."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from outboxed.storage import tables
from outboxed.storage._retention import OWN_RETENTIONS

SCRIPT = Path(__file__).parents[2] / "deploy/kafka/create-topics.sh"


class Kafka:
    """What `kafka-topics.sh` was asked for; it fails for one topic if told to."""

    def __init__(self, folder: Path) -> None:
        self.program, self._calls = folder / "kafka-topics", folder / "calls"
        self.program.write_text(
            f'#!/bin/sh\necho "$@" >> {self._calls}\ncase "$*" in *"--topic $REFUSED "*) exit 1 ;; esac\n'
        )
        self.program.chmod(0o755)

    def run(self, topics: str, refused: str = "none") -> int:
        environment = {
            **os.environ,
            "KAFKA_TOPICS": str(self.program),
            "BOOTSTRAP_SERVERS": "kafka:9092",
            "TOPICS": topics,
            "REPLICATION_FACTOR": "3",
            "MIN_INSYNC_REPLICAS": "2",
            "REFUSED": refused,
        }
        return subprocess.run(["bash", str(SCRIPT)], env=environment, check=False).returncode  # noqa: S603, S607

    @property
    def topics(self) -> Mapping[str, Sequence[str]]:
        """How each topic was made."""
        calls = [line.split() for line in self._calls.read_text().splitlines()]
        return {call[call.index("--topic") + 1]: call for call in calls}


@pytest.fixture
def kafka(tmp_path: Path) -> Kafka:
    return Kafka(tmp_path)


def after(call: Sequence[str], option: str) -> list[str]:
    return [call[at + 1] for at, word in enumerate(call) if word == option]


def test_each_topic_is_made_with_its_partitions_and_as_many_copies_as_are_asked_for(kafka: Kafka) -> None:
    assert kafka.run("orders=12 payments=3") == 0

    assert {name: after(call, "--partitions") for name, call in kafka.topics.items()} == {
        "orders": ["12"],
        "payments": ["3"],
    }
    for call in kafka.topics.values():
        assert after(call, "--replication-factor") == ["3"]
        assert "min.insync.replicas=2" in after(call, "--config")
        assert {"--create", "--if-not-exists"} <= set(call)


def test_no_event_can_be_read_again_that_the_inbox_has_forgotten_and_none_is_gone_within_a_week(kafka: Kafka) -> None:
    kafka.run("orders=12")

    settings = dict(setting.split("=") for setting in after(kafka.topics["orders"], "--config"))
    kept = timedelta(milliseconds=int(settings["retention.ms"]))
    remembered = next(one.keep for one in OWN_RETENTIONS if one.table is tables.inbox)
    assert timedelta(days=7) <= kept <= remembered / 2


def test_no_topic_is_compacted(kafka: Kafka) -> None:
    kafka.run("orders=12")

    settings = dict(setting.split("=") for setting in after(kafka.topics["orders"], "--config"))
    assert settings.keys() == {"retention.ms", "min.insync.replicas"}


def test_a_topic_that_cannot_be_made_fails_the_script(kafka: Kafka) -> None:
    assert kafka.run("orders=12 payments=12", refused="orders") != 0
    assert kafka.run("orders=12 payments=12", refused="payments") != 0
