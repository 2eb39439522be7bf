"""What is used of dependencies beside their public interface: one module a dependency, one canary test a use.

A name that may go is looked up when it is used. So a dependency that lost one breaks a function and its canary in
tests/unit/test_canaries.py, and not the import of every service. `make upgrade-check` says which bound can be raised.
"""
