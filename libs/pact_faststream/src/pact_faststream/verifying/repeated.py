"""A pact in which each interaction stands once for each variant, so that one run of the verifier sees them all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pact_faststream.sources import INTERACTIONS, Interaction, PactToVerify
from pact_faststream.verifying.answers import Offered


def repeated(
    pact: PactToVerify, variants_of: Callable[[Sequence[Mapping[str, Any]]], int]
) -> tuple[PactToVerify, Mapping[str, Offered]]:
    """The pact with its copies, and which interaction, and which variant, each description stands for."""
    offered: dict[str, Offered] = {}
    document = dict(pact.document)
    for kind in INTERACTIONS:
        copies = []
        for interaction in pact.document.get(kind, ()):
            for variant in range(variants_of(interaction.get("providerStates") or [])):
                description = f"{len(offered)}: {interaction['description']}"
                offered[description] = Interaction.of(interaction), variant
                copies.append({**interaction, "description": description, "key": None})
        if copies:
            document[kind] = copies
    return replace(pact, document=document), offered
