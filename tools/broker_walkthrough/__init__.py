"""A year with the Pact Broker, played by the documented commands in a copy of the tree."""
