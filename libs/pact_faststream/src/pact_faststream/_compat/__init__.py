"""Uses of private parts of dependencies: one module for each dependency, one canary test for each use.

A private name is looked up at use, not at import. A release without the name then breaks one function and its canary.
`make upgrade-check` says which bound in pyproject.toml can be raised.
"""
