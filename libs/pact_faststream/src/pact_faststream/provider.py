"""The provider's side: the message offered to Pact is the one that the use case really wrote to its outbox."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pact import Verifier

from pact_faststream.callbacks import MESSAGE, served
from pact_faststream.sources import PactSource, PactToVerify, Result
from pact_faststream.verification import raise_for, verified
from pact_faststream.verifying.answers import Answers, Outbox
from pact_faststream.verifying.repeated import repeated
from pact_faststream.verifying.states import ParameterError, ProviderState, produce_all

__all__ = ["Outbox", "ParameterError", "ProviderState", "produce_all", "verify_provider"]


async def verify_provider(
    provider: str, source: PactSource, states: Mapping[str, ProviderState], *, outbox: Outbox
) -> Sequence[Result]:
    """Verify everything that the source's consumers expect, with every variant; `states` by provider state.

    An interaction with parameters asks for these very values: `asked` of its provider state makes the message. Then the
    values of each variant have to come back, too, in the fields that the consumer asks for.

    Returns one result for each interaction and variant. Raises ProviderVerificationError where an interaction that is
    not pending fails, naming the variant; NoPactsError if there is nothing to verify.
    """
    answers = Answers(states, outbox, asyncio.get_running_loop())
    results: list[Result] = []
    for pact in source.pacts(provider):
        found = await _with_all_variants(provider, pact, answers)
        found += await answers.at_the_edges(list(dict.fromkeys(found)))
        source.keep(pact, found)
        results += found
    raise_for(provider, results)
    return results


async def _with_all_variants(provider: str, pact: PactToVerify, answers: Answers) -> list[Result]:
    copies, offered = repeated(pact, answers.variants_of)
    answers.begin(offered)
    with served({MESSAGE: answers.answer}) as port:
        verifier = Verifier(provider, host="127.0.0.1").add_transport(protocol="message", port=port, path=MESSAGE)
        # in a thread, because the use cases need this loop
        results = await asyncio.to_thread(verified, verifier, copies)
    return [replace(result, **answers.made.get(result.interaction, {})) for result in results]
