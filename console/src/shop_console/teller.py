"""Tells stories: it finds an order's records in the index or in the topics, and asks everybody else about it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import httpx
import structlog
from aiokafka.errors import KafkaError
from outboxed.settings import KafkaSettings

from shop_console.catalogue import Catalogue, describe
from shop_console.contracts import Contracts
from shop_console.facts import Facts, Sources
from shop_console.index import Index, Order
from shop_console.seen import Seen, instant
from shop_console.settings import Settings
from shop_console.story import Story, tell
from shop_console.topics import Follower, LookedUp, look_up

log = structlog.get_logger()

DESCRIBE_AGAIN = 2.0
DESCRIBE_ANEW = 60.0
"""A release may read another event than the one before."""
MOST_EVENT_IDS = 100
CUT = "the topics were read only in part: there may be more records"
NOT_KEPT = "its records are older than those that the console holds in memory, and were read from the topics"


@dataclass
class Teller:
    """What the pages and the terminal are told by."""

    settings: Settings
    http: httpx.AsyncClient
    index: Index
    follower: Follower
    contracts: Contracts
    catalogue: Catalogue = field(default_factory=Catalogue)

    @classmethod
    def of(cls, settings: Settings, http: httpx.AsyncClient) -> "Teller":
        """One that knows nothing yet."""
        index = Index(settings.kept_orders)
        follower = Follower(settings.kafka, index, settings.kept_orders)
        return cls(settings, http, index, follower, Contracts.of(settings, http))

    @property
    def sources(self) -> Sources:
        return Sources(self.http, self.settings.gateway_url, self.settings.mailbox_url)

    @property
    def kafka(self) -> KafkaSettings:
        return self.settings.kafka

    async def run(self) -> None:
        """Keep the catalogue and the index up to date, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._describe())
            group.create_task(self.follower.run())

    async def story(self, key: str, *, token: str) -> Story:
        """Everything about a key. Raises UnknownOrderError, NotLoggedInError."""
        order = self.index.get(key)
        records: Sequence[Seen] = order.records if order else ()
        facts = await self._facts(key, records, token)
        since = _placed(facts)
        if since and self._is_older(order, since):
            records, why = await self._older(key, since)
            facts = await self._facts(key, records, token)
            facts = replace(facts, missing=[*facts.missing, why])
        return tell(key, records, facts, self.catalogue)

    def _is_older(self, order: Order | None, since: datetime) -> bool:
        """An order that is younger than others in the index has only just been placed."""
        if order is not None:
            return not order.has_its_beginning
        return self.index.oldest is not None and since < self.index.oldest

    async def _facts(self, key: str, records: Sequence[Seen], token: str) -> Facts:
        event_ids = [seen.event_id for seen in records if seen.event_id][:MOST_EVENT_IDS]
        return await self.sources.about(key, self.catalogue, event_ids, token=token)

    async def _older(self, key: str, since: datetime) -> tuple[Sequence[Seen], str]:
        try:
            found: LookedUp = await look_up(self.kafka, self.catalogue.topics, key, since=since)
        except (KafkaError, OSError) as error:
            return (), f"Kafka did not answer ({type(error).__name__}): the records are missing here"
        return found.records, NOT_KEPT if found.whole else CUT

    async def _describe(self) -> None:
        while True:
            services = dict(self.catalogue.services)
            for name, url in self.settings.services.items():
                try:
                    services[name] = await describe(self.http, name, url)
                except (httpx.HTTPError, ValueError) as error:
                    log.info("service_not_described", name=name, error=repr(error))
            order = [name for name in self.settings.services if name in services]
            self.catalogue = Catalogue({name: services[name] for name in order})
            self.follower.follow(self.catalogue.topics)
            whole = len(services) == len(self.settings.services)
            await asyncio.sleep(DESCRIBE_ANEW if whole else DESCRIBE_AGAIN)


def _placed(facts: Facts) -> datetime | None:
    """When the thing itself began, by its history."""
    for service in facts.services.values():
        if service.itself and service.itself.get("history"):
            return instant(str(service.itself["history"][0]["at"]))
    return None
