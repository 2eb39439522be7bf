"""The provider's side: the message offered to Pact is the one that the use case really wrote to its outbox."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pact import Verifier

from pact_faststream.callbacks import MESSAGE, served
from pact_faststream.sources import PactDocument, PactFolder, PactSource, ReadableSource
from pact_faststream.verification import Result, raise_for, verified
from pact_faststream.verifying.answers import Answers, Outbox
from pact_faststream.verifying.repeated import is_repeatable, write_repeated
from pact_faststream.verifying.states import ParameterError, ProviderState

__all__ = ["Outbox", "ParameterError", "ProviderState", "verify_provider"]


async def verify_provider(
    provider: str, source: PactSource, states: Mapping[str, ProviderState], *, outbox: Outbox
) -> Sequence[Result]:
    """Verify everything that the source's consumers expect, with every variant; `states` by provider state.

    An interaction with parameters asks for these very values: `asked` of its provider state makes the message. Then the
    values of each variant have to come back, too, in the fields that the consumer asks for.

    Returns one result for each interaction and variant. Raises ProviderVerificationError where an interaction that is
    not pending fails, naming the variant; NoPactsError if there is nothing to verify. If the source publishes, one more
    run publishes the result: that of a variant that failed, if any did.
    """
    answers = Answers(states, outbox, asyncio.get_running_loop())
    documents = source.documents(provider) if isinstance(source, ReadableSource) else []
    if documents and all(map(is_repeatable, documents)):
        results = await _all_at_once(provider, documents, answers)
    else:
        results = await _one_by_one(provider, source, answers)
    results += await answers.at_the_edges(list(dict.fromkeys(results)))
    if source.publishes:
        failed = {state: _number(result, answers) for result in results if not result.ok for state in result.states}
        answers.begin(dict.fromkeys(states, 0) | failed)
        await _run(provider, answers, source, publish=True)
        await asyncio.to_thread(source.confirm_published, provider)
    raise_for(provider, results)
    return results


async def _one_by_one(provider: str, source: PactSource, answers: Answers) -> list[Result]:
    results: list[Result] = []
    for number in range(max((len(state.variants) for state in answers.states.values()), default=1)):
        answers.begin(dict.fromkeys(answers.states, number))
        results += await _run(provider, answers, source)
    return results


async def _all_at_once(provider: str, documents: Sequence[PactDocument], answers: Answers) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        offered = write_repeated(documents, Path(folder), answers.variants_of)
        answers.begin({}, offered)
        return await _run(provider, answers, PactFolder(Path(folder)))


async def _run(provider: str, answers: Answers, source: PactSource, *, publish: bool = False) -> list[Result]:
    with served({MESSAGE: answers.answer}) as port:
        verifier = Verifier(provider, host="127.0.0.1").add_transport(protocol="message", port=port, path=MESSAGE)
        source.add_to(verifier, provider, publish=publish)
        # in a thread, because the use cases need this loop
        results = await asyncio.to_thread(verified, verifier)
    return [replace(result, **answers.made.get(result.interaction, {})) for result in results]


def _number(result: Result, answers: Answers) -> int:
    variants = [list(answers.states[state].variants) for state in result.states if state in answers.states]
    return next((names.index(result.variant) for names in variants if result.variant in names), 0)
