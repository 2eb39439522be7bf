"""A mistake: what somebody got wrong, whom it harms, and where its tests are."""

import re
from dataclasses import dataclass

from tools.scratch import Edit


@dataclass(frozen=True)
class Project:
    """A team's part of the tree, and the packages that it is made of."""

    folder: str
    packages: tuple[str, ...]

    @property
    def tests(self) -> str:
        """Where its tests are, by level."""
        return self.folder if self.folder == "tests" else f"{self.folder}/tests"

    @property
    def contracts(self) -> str:
        """Where its contract tests are; a library's are also those of all projects that use it."""
        return "services/*/tests/contract" if self.folder.startswith("libs/") else f"{self.tests}/contract"


ORDERS = Project("services/orders", ("orders",))
PAYMENTS = Project("services/payments", ("payments",))
NOTIFICATIONS = Project("services/notifications", ("notifications",))
OUTBOXED = Project("libs/outboxed", ("outboxed",))
SANDBOX = Project("sandbox", ("payment_gateway", "mail_catcher", "partner", "sandbox_process"))
CONSOLE = Project("console", ("shop_console",))
HARNESS = Project("harness", ("shop_harness",))
DEMO = Project("demo", ("shop_demo",))
BACKING_SERVICES = Project("libs/backing_services", ("backing_services",))
PACT_FASTSTREAM = Project("libs/pact_faststream", ("pact_faststream",))
ASYNCAPI_GATE = Project("libs/asyncapi_gate", ("asyncapi_gate",))
SHOP = Project("tests", ())
"""What belongs to no single service: compose, images, Makefile, workflows, pages."""


@dataclass(frozen=True)
class Mistake:
    """`title` says what is wrong now, `harm` what comes of it.

    `gate` names the one level that is there for it; the others are not enough. `check` is what sees it where the tests
    of the project don't: a module with its arguments.
    """

    title: str
    harm: str
    project: Project
    edits: tuple[Edit, ...]
    gate: str = ""
    check: tuple[str, ...] = ()


def swap(files: str, old: str, new: str) -> Edit:
    """An edit of a text as it stands, in place of a regular expression."""
    return Edit(files, re.escape(old), new.replace("\\", "\\\\"))
