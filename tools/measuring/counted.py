"""The shop with its statements counted on their way to PostgreSQL."""

from collections import Counter
from collections.abc import Mapping

from shop_harness.services import SERVICES

from tools.measuring.hops import is_control
from tools.measuring.proxy import CountingProxy
from tools.measuring.system import MeasuredSystem
from tools.measuring.wire import Transaction


class CountedSystem(MeasuredSystem):
    """The services reach their databases through counting proxies, until `is_counted` is False."""

    is_counted = True

    @property
    def traffic(self) -> Mapping[str, Counter[Transaction]]:
        """The transactions of each service until now."""
        return {service: proxy.counted.copy() for service, proxy in self.proxies.items()}

    async def _start_servers(self) -> None:
        await super()._start_servers()
        assert self.postgres.port is not None
        self.proxies = {
            service: await self._stack.enter_async_context(CountingProxy(self.postgres.port)) for service in SERVICES
        }

    def _addresses(self, service: str) -> tuple[str, str]:
        database, kafka = super()._addresses(service)
        if self.is_counted:
            database = database.replace(f":{self.postgres.port}/", f":{self.proxies[service].port}/")
        return database, kafka


def statements_of(transactions: Mapping[Transaction, int]) -> int:
    """How many statements they had; BEGIN, COMMIT and ROLLBACK are none."""
    return sum(
        times * sum(not is_control(statement.text) for statement in transaction.statements)
        for transaction, times in transactions.items()
    )
