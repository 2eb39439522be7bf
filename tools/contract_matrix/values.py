"""Judge each fault of values and headers: does it harm a reader, and does the provider's own verification see it?"""

import asyncio
import json
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any
from uuid import UUID

import structlog
from pact_faststream.matrix import Verdict
from pact_faststream.metadata import texts_of
from pact_faststream.records import WireRecord

from tools.contract_matrix.faults import Fault, Path, faults, leaves_of
from tools.contract_matrix.stories import PACTS_OF_MESSAGES, PROVIDERS, Provider, outcomes

VERIFICATION = "the provider's verification"


def judged() -> Sequence[Verdict]:
    """One verdict for each fault, judged on all cores."""
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=_be_silent) as pool:
        return list(pool.map(_judge, range(len(_faults())), chunksize=4))


@cache
def _faults() -> Sequence[Fault]:
    examples = {type_: data for provider in PROVIDERS.values() for type_, data in _examples(provider).items()}
    return faults(examples, _read())


def _read() -> Mapping[str, Collection[Path]]:
    """The fields that some consumer reads, by type of event."""
    read: dict[str, set[Path]] = {}
    for expectation in (each for pact in PACTS_OF_MESSAGES for each in pact.expectations):
        paths = read.setdefault(expectation.example.type, set())
        paths.update(path for path, _ in leaves_of(json.loads(expectation.body)))
    return read


def _examples(provider: Provider) -> Mapping[str, Any]:
    states = provider.states(provider.database())
    told = asyncio.run(provider.tell([(state, {}) for state in states]))
    return {texts_of(record, "ce_type")[0]: json.loads(record.value or b"") for record in told}


def _judge(number: int) -> Verdict:
    return asyncio.run(_judged(_faults()[number]))


async def _judged(fault: Fault) -> Verdict:
    provider = PROVIDERS[fault.provider]
    right, wrong = await _story(provider), await _told_with(fault, provider)
    harmed = [reader for reader in right if wrong.get(reader) != right[reader]]
    with fault.planted():
        passes = await provider.keeps_its_contracts()
    name = f"{fault.name} (breaks {', '.join(harmed)})" if harmed else fault.name
    return Verdict(name, breaking=bool(harmed), passes={VERIFICATION: passes})


_stories: dict[str, Mapping[str, object]] = {}


async def _story(provider: Provider) -> Mapping[str, object]:
    if provider.name not in _stories:
        told = await provider.tell(provider.asks())
        _stories[provider.name] = await outcomes(provider, told, _order_ids(told))
    return _stories[provider.name]


async def _told_with(fault: Fault, provider: Provider) -> Mapping[str, object]:
    """The outcomes with the fault; none where the provider can't publish any more."""
    asks = provider.asks()
    order_ids = _order_ids(await provider.tell(asks))
    try:
        with fault.planted():
            told = await provider.tell(asks)
    except Exception:  # noqa: BLE001 - nothing is sent then
        return {}
    return await outcomes(provider, told, order_ids)


def _order_ids(told: Sequence[WireRecord]) -> Sequence[UUID]:
    return sorted({UUID((record.key or b"").decode()) for record in told})


def _be_silent() -> None:
    """Pact's verifier and the services write to the process's descriptors."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
