"""What a system's processes are told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mail_catcher.settings import Settings as MailCatcherSettings
from shop_harness.system import Ports, System, run_command


def test_variables_that_are_given_win_over_what_a_services_table_says() -> None:
    given = {"ORDERS_RATE_LIMIT_PER_MINUTE": "7", "ORDERS_HTTP_PORT": "1", "PATH": "/bin"}
    plain, system = System(Ports.usual(), print), System(Ports.usual(), print, given=given)

    assert plain.own_environment("orders")["ORDERS_RATE_LIMIT_PER_MINUTE"] == "0"
    assert system.own_environment("orders") == plain.own_environment("orders") | {"ORDERS_RATE_LIMIT_PER_MINUTE": "7"}


async def test_a_command_is_told_what_the_system_has_and_not_what_the_shell_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_program.py").write_text("import os; print(os.environ['SHOP_DATABASE'], os.environ['SHOP_HOME'])")
    monkeypatch.setenv("SHOP_DATABASE", "the shell's")
    monkeypatch.setenv("SHOP_HOME", "home")
    environment = {"SHOP_DATABASE": "the system's", "PYTHONPATH": str(tmp_path)}

    assert await run_command("shop_program", environment=environment) == "the system's home\n"


class Sandbox(System):
    """A system of which nothing starts: `environments` has what its programs would be given."""

    async def started(self, folder: Path) -> Mapping[str, Mapping[str, str]]:
        self.folder, self.environments = folder, dict[str, Mapping[str, str]]()
        await self._start_sandbox()
        return self.environments

    async def _run(self, *given: Any, **_: Any) -> Any:
        name, _module, environment = given
        self.environments[name] = environment


async def test_the_mail_catcher_of_a_run_keeps_more_than_it_does_by_itself(tmp_path: Path) -> None:
    """A ledger that forgets would count e-mails as lost."""
    environments = await Sandbox(Ports.usual(), print).started(tmp_path)

    kept = int(environments["mail catcher"]["MAILBOX_MAX_MESSAGES"])
    assert kept >= 100 * MailCatcherSettings.model_fields["max_messages"].default
