"""Values: those that a consumer asks a provider for, and those that a provider's variants are made of."""

from pact_faststream.values.sweep import pairwise

__all__ = ["pairwise"]
