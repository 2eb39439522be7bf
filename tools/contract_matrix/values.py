"""Judge each fault of values and headers: does it harm a reader, and does the provider's own verification see it?"""

import asyncio
import json
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from typing import Any
from uuid import UUID

import structlog
from pact_faststream.matrix import Verdict
from pact_faststream.matrix.mutants import Path
from pact_faststream.metadata import texts_of

from tools.contract_matrix.faults import Fault, faults, leaves_of
from tools.contract_matrix.stories import PROVIDERS, Ask, Provider, outcomes
from tools.contract_matrix.subjects import PACTS_OF_MESSAGES

VERIFICATION = "the provider's verification"


@contextmanager
def judged() -> Iterator[Iterator[Verdict]]:
    """One verdict for each fault, judged in processes of their own while the block runs."""
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=_be_silent) as pool:
        yield pool.map(_judge, range(len(all_faults())), chunksize=4)


@cache
def all_faults() -> Sequence[Fault]:
    examples = {type_: data for provider in PROVIDERS.values() for type_, data in _examples(provider).items()}
    return faults(examples, _read())


def _read() -> Mapping[str, Collection[Path]]:
    """The fields that some consumer reads, by type of event."""
    read: dict[str, set[Path]] = {}
    for expectation in (each for pact in PACTS_OF_MESSAGES for each in pact.expectations):
        paths = read.setdefault(expectation.metadata["ce_type"], set())
        paths.update(path for path, _ in leaves_of(json.loads(expectation.body)))
    return read


def _examples(provider: Provider) -> Mapping[str, Any]:
    states = provider.states(provider.database())
    told = asyncio.run(provider.tell([(state, {}) for state in states]))
    return {texts_of(record, "ce_type")[0]: json.loads(record.value or b"") for record in told}


def _judge(number: int) -> Verdict:
    return asyncio.run(judge_fault(all_faults()[number]))


async def judge_fault(fault: Fault) -> Verdict:
    provider = PROVIDERS[fault.provider]
    story = await _story(provider)
    wrong = await _outcomes_with(fault, provider, story)
    harmed = [reader for reader, right in story.outcomes.items() if wrong.get(reader) != right]
    with fault.planted():
        passes = await provider.keeps_its_contracts()
    name = f"{fault.name} (breaks {', '.join(harmed)})" if harmed else fault.name
    return Verdict(name, breaking=bool(harmed), passes={VERIFICATION: passes})


@dataclass(frozen=True)
class _Story:
    """What is asked of a provider, about which orders, and what its readers make of it if all is right."""

    asks: Sequence[Ask]
    order_ids: Sequence[UUID]
    outcomes: Mapping[str, object]


_stories: dict[str, _Story] = {}


async def _story(provider: Provider) -> _Story:
    if provider.name not in _stories:
        asks = provider.asks()
        told = await provider.tell(asks)
        order_ids = sorted({UUID((record.key or b"").decode()) for record in told})
        _stories[provider.name] = _Story(asks, order_ids, await outcomes(provider, told, order_ids))
    return _stories[provider.name]


async def _outcomes_with(fault: Fault, provider: Provider, story: _Story) -> Mapping[str, object]:
    """None where the provider can't publish any more."""
    try:
        with fault.planted():
            told = await provider.tell(story.asks)
    except Exception:  # noqa: BLE001 - nothing is sent then
        return {}
    return await outcomes(provider, told, story.order_ids)


def _be_silent() -> None:
    """Pact's verifier and the services write to the process's descriptors."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
