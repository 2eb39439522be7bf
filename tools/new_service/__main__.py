"""`make new-service NAME=shipping READS=order.confirmed PUBLISHES=shipment.dispatched`: a whole service, wired."""

import os
import sys
from collections.abc import Mapping, Sequence

from shop_harness.services import SERVICES

from tools.new_service import contracts, rendering, static
from tools.new_service.names import EventName, WrongArgumentError, event_name, event_names, service_name
from tools.new_service.producers import Published, published, readable
from tools.new_service.shape import Shape, shape_of


def main() -> int:
    """The exit status: 2 for what can't be made, before anything is written."""
    try:
        shape = asked(os.environ.get("NAME", ""), os.environ.get("READS", ""), os.environ.get("PUBLISHES", ""))
    except WrongArgumentError as error:
        print(f"new-service: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    try:
        return _make(shape)
    except contracts.CommandFailedError as error:
        print(f"new-service: {error}\nTake it out again: make remove-service NAME={shape.name}", file=sys.stderr)
        return 1


def asked(name: str, reads: str, publishes: str) -> Shape:
    """Raises WrongArgumentError."""
    service = service_name(name)
    offered = published()
    events_read = readable(event_names("READS", reads), offered)
    own = [event_name("PUBLISHES", text) for text in event_names("PUBLISHES", publishes)]
    for event in own:
        _check_new(event, offered)
    if len({event.short for event in own}) < len(own):
        raise WrongArgumentError(f"PUBLISHES={publishes}: names an event twice")
    _check_classes([*(event.name for event in events_read), *own])
    return shape_of(service, events_read, own)


def _check_new(event: EventName, offered: Mapping[str, Published]) -> None:
    for other in offered.values():
        if other.name.short == event.short:
            raise WrongArgumentError(f"PUBLISHES={event.short}: {other.producer} publishes it already")


def _check_classes(events: Sequence[EventName]) -> None:
    """Each event is a class, which is called after both parts of its name."""
    names: dict[str, str] = {}
    for event in events:
        other = names.setdefault(event.camel, event.short)
        if other != event.short:
            raise WrongArgumentError(f"PUBLISHES={event.short}: {other} has the same class {event.camel}")


def _make(shape: Shape) -> int:
    files = rendering.rendered(shape)
    rendering.write(files)
    topics = {shape.topic: 12} if shape.events else {}
    changed = static.put(static.Wiring(shape.name, shape.port, topics, SERVICES))
    for event in shape.events_read:
        if not event.is_read:
            static.mark_read(event.name.type, event.producer, event.key)
    contracts.lock()
    contracts.write_contracts(shape.name)
    contracts.draw()
    print(f"services/{shape.name}: its files; its entries: {', '.join(changed)}")
    print(f"What you decide fails in its tests until services/{shape.name}/decisions.toml has your answers.")
    print(f"new-service: {len(files)} files, port {shape.port}; next: make ci SERVICE={shape.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
