"""Pact files in which each interaction stands once for each variant, so that one run of the verifier sees them all."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pact_faststream.verification import Interaction
from pact_faststream.verifying.answers import Offered


def write_repeated(
    documents: Sequence[Mapping[str, Any]], folder: Path, variants_of: Callable[[Sequence[Mapping[str, Any]]], int]
) -> Mapping[str, Offered]:
    """Write pact files into a folder; returns which interaction, and which variant, each description stands for."""
    offered: dict[str, Offered] = {}
    for number, document in enumerate(documents):
        copies = []
        for interaction in document["interactions"]:
            states = interaction.get("providerStates", [])
            name = Interaction(interaction["description"], tuple(state["name"] for state in states))
            for variant in range(variants_of(states)):
                description = f"{len(offered)}: {interaction['description']}"
                offered[description] = name, variant
                copies.append({**interaction, "description": description, "key": None})
        (folder / f"{number}.json").write_text(json.dumps({**document, "interactions": copies}))
    return offered
