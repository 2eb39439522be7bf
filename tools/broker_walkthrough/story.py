"""From an empty broker to production, and through the life of one field, with what goes wrong between."""

from tools.broker_walkthrough.walk import Walk
from tools.scratch import Edit

EVENTS = "services/orders/src/orders/events.py"
CONSUMED = "services/notifications/src/notifications/consumed_events.py"
EXPECTED = "services/notifications/tests/contract/expectations.py"

PUBLISHES_PLACED_AT = (
    Edit(EVENTS, r"(    total: MoneyData\n)(    confirmed_at: Timestamp\n)", r"\1    placed_at: Timestamp\n\2"),
    Edit(
        EVENTS,
        r"(total=_total\(order\), )(confirmed_at=order\.history\[-1\]\.at)",
        r"\1placed_at=order.placed_at, \2",
    ),
)
READS_PLACED_AT = (
    Edit(
        CONSUMED,
        r'(class OrderConfirmed\(OrderEvent, type="order\.confirmed\.v1"\):\n)    pass\n',
        r"\1    placed_at: ConsumedTimestamp | None = None\n",  # the events that are in the topic lack it
    ),
    Edit(CONSUMED, r"import ConsumedData, ConsumedEvent\n", "import ConsumedData, ConsumedEvent, ConsumedTimestamp\n"),
    Edit(
        EXPECTED,
        r"OrderConfirmed\(order_id=(\w+), customer=(\w+)\)",
        r"OrderConfirmed(order_id=\1, customer=\2, placed_at=datetime(2026, 1, 1 + \1.int % 28, 12, tzinfo=UTC))",
    ),
    Edit(EXPECTED, r"^from uuid import UUID\n", "from datetime import UTC, datetime\nfrom uuid import UUID\n"),
)
TAKES_PLACED_AT_AWAY = (
    Edit(EVENTS, r"    placed_at: Timestamp\n(?=    confirmed_at)", ""),
    Edit(EVENTS, r"placed_at=order\.placed_at, (?=confirmed_at)", ""),
)
READS_PLACED_AT_NO_MORE = (
    Edit(CONSUMED, r"    placed_at: ConsumedTimestamp \| None = None\n", "    pass\n"),
    Edit(CONSUMED, r", ConsumedTimestamp\n", "\n"),
    Edit(EXPECTED, r", placed_at=datetime\([^)]*\)", ""),
    Edit(EXPECTED, r"^from datetime import UTC, datetime\n", ""),
)
FEATURE = "feature/placed-at"
SERVICES = ("orders", "payments", "notifications")
GATEWAY = "payment-gateway"


def play(walk: Walk) -> None:
    """All scenes. Raises UnexpectedAnswerError."""
    _empty_broker(walk)
    _first_deployments(walk)
    _feature_branch(walk)
    _expand(walk)
    _rollback(walk)
    _two_versions(walk)
    _contract(walk)
    _the_rest(walk)


def _empty_broker(walk: Walk) -> None:
    walk.scene("An empty broker", "Each service's pipeline publishes, verifies what is there, and registers.")
    walk.commit("the first version of all")
    walk.broker("create-environment", "production", "--production", says="made the environment production")
    for service in SERVICES:
        walk.broker("publish", service, says=f"published what {service} expects of")
        walk.broker("verify", service, says="nothing to verify|kept")
        walk.broker("register-version", service, says=f"registered {service}")
    walk.scene("What came later", "The webhook starts these; without one, the pipeline runs once more.")
    walk.broker("verify", "orders", says="verified 2 pacts of orders")
    walk.broker("verify", "payments", says="notifications .*: kept")
    walk.broker("create-webhook", "orders", status=2, says="WEBHOOK_URL is not set: whom shall the broker call")
    for service in SERVICES:
        ignoring = ("--ignore", GATEWAY) if service == "payments" else ()
        walk.broker("can-i-merge", service, *ignoring, says="yes, .* can be merged")


def _first_deployments(walk: Walk) -> None:
    walk.scene("The first deployments", "Nothing is in production, and each waits for somebody.")
    for service, waits_for in {"orders": "payments", "payments": "orders", "notifications": "orders"}.items():
        says = f"not yet known, so no.*next: get {waits_for} .* to production first"
        walk.broker("can-i-deploy", service, status=1, says=says)
    walk.scene("The gateway", "Somebody else runs it. The sandbox stands in for it, under its name.")
    walk.broker("verify", GATEWAY, says="payments .*: kept")
    walk.broker("can-i-deploy", GATEWAY, says="yes")
    walk.broker("record-deployment", GATEWAY, says="is in production")
    walk.scene("orders is the first", "Its events wait in the topic until payments is there.")
    walk.broker("can-i-deploy", "orders", "--ignore", "payments", says="yes, .*payments ignored as asked")
    walk.broker("record-deployment", "orders", says="is in production")
    walk.scene("payments and notifications follow", "Nobody ignores anybody any more.")
    for service in ("payments", "notifications"):
        walk.broker("can-i-deploy", service, says="yes")
        walk.broker("record-deployment", service, says="is in production")
    walk.broker("can-i-deploy", "orders", says="yes")


def _feature_branch(walk: Walk) -> None:
    walk.scene("A feature branch", "notifications wants to know when an order was placed; orders doesn't tell yet.")
    walk.commit("notifications reads placed_at", *READS_PLACED_AT, branch=FEATURE, rewrites="notifications")
    walk.broker("publish", "notifications", says=f"branch {FEATURE}")
    patient = ("--retry-while-unknown", "1", "--retry-interval", "0")
    says = "asking again in 0 s.*not yet known, so no.*verify orders"
    walk.broker("can-i-merge", "notifications", *patient, status=1, says=says)
    walk.scene("orders on main", "Work in progress fails, and shows its mismatch, but breaks no build.")
    walk.commit("orders mends a comment")
    walk.broker("verify", "orders", says="kept.*broken, but not binding yet.*placed_at")
    walk.broker("can-i-merge", "orders", says="yes")
    walk.broker("can-i-deploy", "orders", says="yes")
    walk.broker("can-i-merge", "notifications", status=1, says="no: .*mend orders", at="notifications reads placed_at")


def _expand(walk: Walk) -> None:
    walk.scene("Expand", "orders publishes the field. Readers of today ignore it.")
    walk.commit("orders publishes placed_at", *PUBLISHES_PLACED_AT)
    walk.broker("publish", "orders", says="published")
    walk.broker("verify", "orders", says="notifications .*: kept")
    walk.broker("verify", "payments", says="orders .*: kept")
    walk.broker("can-i-merge", "notifications", says="yes", at="notifications reads placed_at")
    walk.scene("The provider goes out first", "Production's orders doesn't publish it yet.")
    walk.commit("notifications reads placed_at, on main", *READS_PLACED_AT, rewrites="notifications")
    walk.broker("publish", "notifications", says="branch main")
    says = "not yet known, so no.*get orders .* to production first: it keeps this pact"
    walk.broker("can-i-deploy", "notifications", status=1, says=says)
    walk.broker("can-i-deploy", "orders", says="yes", at="orders publishes placed_at")
    walk.broker("record-deployment", "orders", says="is in production", at="orders publishes placed_at")
    walk.broker("can-i-deploy", "notifications", says="yes")
    walk.broker("record-deployment", "notifications", says="is in production")
    walk.scene("The branch is done", "Nobody verifies its pacts any more.")
    walk.broker("delete-branch", "notifications", FEATURE, says="deleted the branch")
    walk.broker("delete-branch", "notifications", "main", status=1, says="is the main branch of notifications")


def _rollback(walk: Walk) -> None:
    walk.scene("A rollback", "The first version of orders doesn't publish what production's notifications reads.")
    walk.broker("can-i-deploy", "orders", status=1, says="no", at="the first version of all")
    walk.scene("The consumer goes back first", "Its first version works with any orders.")
    walk.broker("can-i-deploy", "notifications", says="yes", at="the first version of all")
    walk.broker("record-deployment", "notifications", says="is in production", at="the first version of all")
    walk.broker("can-i-deploy", "orders", says="yes", at="the first version of all")


def _two_versions(walk: Walk) -> None:
    walk.scene("Two versions in production", "An instance of the new notifications beside the old one.")
    newest = "notifications reads placed_at, on main"
    walk.broker("record-deployment", "notifications", "--instance", "new", says="instance new", at=newest)
    walk.broker("can-i-deploy", "orders", status=1, says="no", at="the first version of all")
    walk.broker("can-i-deploy", "orders", says="yes", at="orders publishes placed_at")
    walk.broker("record-undeployment", "notifications", "--instance", "new", says="no longer in production")
    walk.broker("record-deployment", "notifications", says="is in production", at=newest)


def _contract(walk: Walk) -> None:
    walk.scene("Contract", "orders takes the field away, too early.")
    walk.commit("orders takes placed_at away", *TAKES_PLACED_AT_AWAY)
    walk.broker("verify", "orders", status=1, says="orders breaks what notifications .* expects")
    walk.broker("can-i-deploy", "orders", status=1, says="no: .*keep what notifications expects")
    walk.scene("The consumer leaves first", "notifications expects less. Its pact is one that was verified before.")
    walk.commit("notifications reads placed_at no more", *READS_PLACED_AT_NO_MORE, rewrites="notifications")
    walk.broker("publish", "notifications", says="branch main")
    walk.broker("can-i-deploy", "notifications", says="yes")
    walk.broker("record-deployment", "notifications", says="is in production")
    walk.broker("publish", "orders", says="published")
    walk.broker("verify", "orders", says="notifications .*: kept")
    walk.broker("verify", "payments", says="kept")
    walk.broker("can-i-deploy", "orders", says="yes")
    walk.broker("record-deployment", "orders", says="is in production")


def _the_rest(walk: Walk) -> None:
    walk.scene("The rest of a broker's life", "A service without pacts, a release, a service that is taken away.")
    walk.broker("register-version", "reports", says="registered reports")
    walk.broker("can-i-deploy", "reports", says="yes")
    walk.broker("record-release", "reports", says="is released in production")
    walk.broker("record-support-ended", "reports", says="no longer supported")
    walk.broker("record-undeployment", "notifications", says="no longer in production")
    walk.broker("can-i-deploy", "orders", says="yes")
    walk.broker("can-i-deploy", "orders", "--environment", "prodution", status=1, says="no environment 'prodution'")
