"""For the tests of services that use this library: in-memory ports, parity, tracked sessions, records, topics."""
