"""How a provider's verification answers Pact: with the rows that use cases write."""
