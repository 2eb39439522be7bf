"""The broker's flow for one service: publish, verify, ask, record. See `python -m pact_faststream.broker --help`."""
