"""`python -m payments`: run, migrate, doctor, dead-letters, reconcile."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from outboxed.errors import ConfigurationError, TransientError
from outboxed.process import CommandLine, Service

from payments.api import Dependencies
from payments.app import NAME, build
from payments.ports import PaymentGateway
from payments.reconciliation import UnclaimedCharge, return_charge, unclaimed_charges
from payments.settings import Settings

command_line = CommandLine(NAME, Settings, build)


@command_line.typer.command()
def reconcile(
    *, fix: Annotated[bool, typer.Option("--fix", help="Return the money of what was found.")] = False
) -> None:
    """List, or refund, charges at the gateway that no payment claims."""

    async def run(service: Service[Any]) -> Sequence[UnclaimedCharge]:
        needs: Dependencies = service.dependencies
        try:
            found = await unclaimed_charges(needs.unit_of_work, needs.gateway)
            for unclaimed in found:
                typer.echo(await _dealt_with(unclaimed, needs.gateway, fix=fix))
        except TransientError as error:
            raise ConfigurationError(f"{error}; run it again") from None
        return found

    found = command_line.execute(run)
    typer.echo(f"{len(found)} charges that no payment claims")


async def _dealt_with(unclaimed: UnclaimedCharge, gateway: PaymentGateway, *, fix: bool) -> str:
    charge, order_id = unclaimed.charge, unclaimed.payment.order_id
    line = f"order {order_id}: charge {charge.id} of {charge.amount} {charge.currency}"
    if not unclaimed.returnable:
        return f"{line}: has the key of a captured payment: ask the gateway to return it"
    if not fix:
        return f"{line}: unclaimed"
    await return_charge(unclaimed, gateway)
    return f"{line}: returned"


if __name__ == "__main__":
    command_line()
