"""Uses of private parts of dependencies: one module for each dependency, one canary test for each use.

A private name is looked up at use, not at import. A release without the name then breaks one function and its canary
in tests/unit/test_canaries.py, not the import of every service. `make upgrade-check` says which bound can be raised.
"""
