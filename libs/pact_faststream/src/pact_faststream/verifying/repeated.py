"""A pact in which each interaction stands once for each variant, so that one run of the verifier sees them all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pact_faststream.sources import Interaction, PactToVerify
from pact_faststream.verifying.answers import Offered

KINDS = ("interactions", "messages")
"""A pact of the specification's version 3 has messages."""


def repeated(
    pact: PactToVerify, variants_of: Callable[[Sequence[Mapping[str, Any]]], int]
) -> tuple[PactToVerify, Mapping[str, Offered]]:
    """The pact with its copies, and which interaction, and which variant, each description stands for."""
    offered: dict[str, Offered] = {}
    document = dict(pact.document)
    for kind in KINDS:
        copies = []
        for interaction in pact.document.get(kind, ()):
            states = interaction.get("providerStates") or []
            name = Interaction(interaction["description"], tuple(state["name"] for state in states))
            for variant in range(variants_of(states)):
                description = f"{len(offered)}: {interaction['description']}"
                offered[description] = name, variant
                copies.append({**interaction, "description": description, "key": None})
        if copies:
            document[kind] = copies
    return replace(pact, document=document), offered
