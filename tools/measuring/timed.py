"""The shop with the moments at which its transactions were committed."""

from collections.abc import Mapping

from shop_harness.ledgers import Ledgers

from tools.measuring.system import CALM, MeasuredSystem

CONFIRMED = """
select id::text, extract(epoch from pg_xact_commit_timestamp(xmin))::float8 as at from orders where status = 'CONFIRMED'
"""
"""Nothing changes an order after its confirmation, if nobody cancels it."""


class TimedSystem(MeasuredSystem):
    """See MeasuredSystem."""

    settings: Mapping[str, str] = {**CALM, "track_commit_timestamp": "on"}


async def confirmed_at(ledgers: Ledgers) -> Mapping[str, float]:
    """When each confirmed order was confirmed for everybody to see, in seconds since 1970."""
    return {row["id"]: row["at"] for row in await ledgers.rows("orders", CONFIRMED)}
