"""`make broker-stand-in`: serve an empty broker until Ctrl-C."""

import os
import signal
import sys
from typing import Annotated

import typer

from tools.broker_stand_in.app import create_app
from tools.broker_stand_in.server import served

PORT = 9292
ENDING = {signal.SIGINT, signal.SIGTERM}


def main(port: Annotated[int, typer.Option(help="0 takes a free one.")] = PORT) -> None:
    """Serve an empty broker in memory; it forgets all at its end."""
    # before there is another thread: one that took the signal would leave this one waiting for ever
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        with served(create_app(), port) as url:
            print(f"an empty broker, in memory: export PACT_BROKER_BASE_URL={url}", flush=True)
            signal.sigwait(ENDING)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        print(f"broker-stand-in: port {port}: {reason}: name another one with --port", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    typer.run(main)
