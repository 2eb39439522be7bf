"""How many connections a process has, and how long it waits for one."""

POOL_SIZE = 5
"""Connections of a process. More are no faster: one Python process can't use them at once."""
POOL_SECONDS = 5.0
"""The longest wait for a free connection; a task's lease reserves as much for the recording (tasks.RECORDING)."""
API_POOL_SECONDS = 2.0
"""The longest wait of a call over HTTP, which has a pool beside that of the roles; then it gets a 503."""
