"""Run the mock cluster as a process of its own: `python -m backing_services.kafka --topic orders=3 --topic payments=3`.

The first line of its output is the bootstrap address; the mock chooses its port. The process ends with SIGTERM, SIGINT,
or the end of its standard input, and so also when its caller dies.
"""

import argparse
import os
import signal
from threading import Thread

from backing_services.kafka.mock import MockKafka

ENDS = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m backing_services.kafka", description="librdkafka's mock Kafka cluster"
    )
    parser.add_argument("--topic", action="append", default=[], type=_topic, metavar="NAME=PARTITIONS")
    arguments = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    with MockKafka() as cluster:
        for name, partitions in arguments.topic:
            cluster.create_topic(name, partitions)
        print(cluster.bootstrap_servers, flush=True)  # noqa: T201 - what this command is for
        _wait()


def _wait() -> None:
    """Wait for a signal or the end of standard input.

    A signal handler that raises won't do: Python would run the handler only after a read that has just begun.
    """
    Thread(target=_ask_for_the_end_with_the_input, daemon=True).start()
    signal.sigwait(ENDS)


def _ask_for_the_end_with_the_input() -> None:
    while os.read(0, 4096):  # not sys.stdin: the interpreter needs its lock at exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _topic(text: str) -> tuple[str, int]:
    name, equals, partitions = text.partition("=")
    if not (name and equals and partitions.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r}: write it as NAME=PARTITIONS")
    return name, int(partitions)


if __name__ == "__main__":
    main()
