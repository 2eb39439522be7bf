"""Pact files in which each interaction stands once for each variant, so that one run of the verifier sees them all."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pact_faststream.sources import PactDocument
from pact_faststream.verification import Interaction
from pact_faststream.verifying.answers import Offered

MESSAGES = "Asynchronous/Messages"


def is_repeatable(document: PactDocument) -> bool:
    """Whether it is a pact of messages alone, and not in a form before version 4."""
    kinds = {interaction.get("type") for interaction in document.content.get("interactions", ())}
    return kinds == {MESSAGES}


def write_repeated(
    documents: Sequence[PactDocument], folder: Path, variants_of: Callable[[Sequence[Mapping[str, Any]]], int]
) -> Mapping[str, Offered]:
    """Write pact files into a folder; returns which interaction, and which variant, each description stands for."""
    offered: dict[str, Offered] = {}
    for number, document in enumerate(documents):
        copies = []
        for interaction in document.content["interactions"]:
            states = interaction.get("providerStates", [])
            name = Interaction(interaction["description"], tuple(state["name"] for state in states))
            for variant in range(variants_of(states)):
                description = f"{len(offered)}: {interaction['description']}"
                offered[description] = Offered(name, variant, document.pending)
                copies.append({**interaction, "description": description, "key": None})
        (folder / f"{number}.json").write_text(json.dumps({**document.content, "interactions": copies}))
    return offered
