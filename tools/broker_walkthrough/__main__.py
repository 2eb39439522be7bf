"""`make broker-walkthrough`: against the broker in PACT_BROKER_BASE_URL, else against the stand-in."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pact_faststream.broker.answers import BrokerError, Resource
from pact_faststream.broker.client import Broker
from pact_faststream.broker.settings import BrokerSettingError, load_settings

from tools.broker_stand_in import create_app, served
from tools.broker_walkthrough.story import GATEWAY, SERVICES, play
from tools.broker_walkthrough.walk import UnexpectedAnswerError, walk
from tools.scratch import ScratchError


def main() -> None:
    """Exit with 1 if a command doesn't answer as the page says, with 2 if the walk can't begin or is at fault."""
    begun = time.monotonic()
    try:
        with _broker() as (url, what), walk(url) as walking:
            print(f"{what} at {url}")
            play(walking)
    except (BrokerError, BrokerSettingError, ScratchError, OSError) as error:
        print(f"broker-walkthrough: {error}", file=sys.stderr)
        sys.exit(2)
    except UnexpectedAnswerError as error:
        print(f"broker-walkthrough: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"\nbroker-walkthrough: {walking.steps} steps, each answered as contracts/broker.md says, {what}, ", end="")
    print(f"{time.monotonic() - begun:.0f} s")


@contextmanager
def _broker() -> Iterator[tuple[str, str]]:
    if not os.environ.get("PACT_BROKER_BASE_URL"):
        with served(create_app()) as url:
            yield url, "the stand-in"
        return
    settings = load_settings()
    broker = Broker.connect(settings)
    for name in (*SERVICES, GATEWAY, "reports"):
        if broker.find(broker.index.link("pb:pacticipant", pacticipant=name), Resource):
            raise BrokerError(f"the broker knows {name} already, and the walk needs one without")
    yield settings.broker_base_url, "a Pact Broker"


if __name__ == "__main__":
    main()
