"""Run the mock cluster as a process of its own: `python -m testkit.kafka --topic orders=3 --topic payments=3`.

The first line it prints is the bootstrap address (the mock chooses its port, none can be asked for). It ends with
SIGTERM, SIGINT, or with the end of its standard input, so that a caller who dies takes it along.
"""

import argparse
import signal
import sys

from testkit.kafka.mock import MockKafka


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m testkit.kafka", description="librdkafka's mock Kafka cluster")
    parser.add_argument("--topic", action="append", default=[], type=_topic, metavar="NAME=PARTITIONS")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with MockKafka() as cluster:
        for name, partitions in arguments.topic:
            cluster.create_topic(name, partitions)
        print(cluster.bootstrap_servers, flush=True)  # noqa: T201 - what this command is for
        sys.stdin.read()


def _topic(text: str) -> tuple[str, int]:
    name, equals, partitions = text.partition("=")
    if not (name and equals and partitions.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r}: write it as orders=3")
    return name, int(partitions)


if __name__ == "__main__":
    main()
