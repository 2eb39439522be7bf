"""`python -m notifications`: run, migrate, doctor, dead-letters."""

from outboxed.process import CommandLine

from notifications.app import NAME, build
from notifications.settings import Settings

command_line = CommandLine(NAME, Settings, build)

if __name__ == "__main__":
    command_line()
