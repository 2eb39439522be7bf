"""What is used of dependencies beside their public interface: one module a dependency, one canary test a use.

A name that may go is looked up when it is used, so that it breaks a function and its canary, and no import.
`make upgrade-check` says which bound in pyproject.toml can be raised.
"""
