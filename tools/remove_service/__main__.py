"""`make remove-service NAME=shipping`: take a service out again, and its entries in every file that has them."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shop_harness.services import ALL, ROOT, SAGA, SERVICES, Service

from tools.new_service import contracts, static
from tools.new_service.names import WrongArgumentError
from tools.new_service.producers import PACTS, Published, published


def main() -> int:
    """The exit status: 2 for what can't be taken out, before anything is deleted."""
    try:
        service = _asked(os.environ.get("NAME", "").replace("-", "_"))
    except WrongArgumentError as error:
        print(f"remove-service: {error}", file=sys.stderr)
        return 2
    changed = remove(service)
    try:
        contracts.lock()
        contracts.draw()
    except contracts.CommandFailedError as error:
        print(f"remove-service: {error}", file=sys.stderr)
        return 1
    print(f"remove-service: {service.name} is out of services/, contracts/ and {', '.join(changed)}")
    return 0


def remove(service: Service) -> list[str]:
    """Delete its files and take out its entries; the files that have changed."""
    only_reader_of = [event for event in published().values() if _readers(event) == [service.name]]
    before = [other for other in SERVICES if other != service.name]
    changed = static.take(static.Wiring(service.name, service.port, service.publishes, before))
    for path in _own(service.name):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
    for event in only_reader_of:
        static.mark_unread(event.name.type, event.producer, event.key)
    return list(changed)


def _asked(name: str) -> Service:
    if not name:
        raise WrongArgumentError("NAME is needed: make remove-service NAME=shipping")
    if name not in ALL:
        raise WrongArgumentError(f"NAME={name}: there is no such service; there are {', '.join(SERVICES)}")
    if name in SAGA:
        raise WrongArgumentError(f"NAME={name}: the demo and the journeys are about {', '.join(SAGA)}")
    if readers := [pact["consumer"]["name"] for pact in _pacts() if pact["provider"]["name"] == name]:
        raise WrongArgumentError(f"NAME={name}: {', '.join(readers)} reads its events: change or remove that first")
    return ALL[name]


def _readers(event: Published) -> list[str]:
    return [
        pact["consumer"]["name"]
        for pact in _pacts()
        if pact["provider"]["name"] == event.producer
        and any(one.get("metadata", {}).get("ce_type") == event.name.type for one in pact["interactions"])
    ]


def _pacts() -> list[Any]:
    return [json.loads(file.read_text()) for file in sorted((ROOT / PACTS).glob("*.json"))]


def _own(name: str) -> Iterator[Path]:
    yield ROOT / "services" / name
    yield ROOT / ".github" / "workflows" / f"{name}.yml"
    yield ROOT / "contracts" / "asyncapi" / f"{name}.json"
    yield ROOT / "contracts" / "asyncapi" / "forms" / name
    yield from (ROOT / PACTS).glob(f"{name}-*.json")


if __name__ == "__main__":
    sys.exit(main())
