"""What a person sees."""

from dataclasses import replace
from io import StringIO

from rich.console import Console
from shop_demo.customers import Outcome, Rejected
from shop_demo.screen import LiveView, print_summary
from shop_demo.summary import summarize
from shop_harness.customers import Placed

from harness.tests.factories import ADA, NOON, evidence

OUTCOME = Outcome(accepted={"1": Placed("1", ADA, NOON)})


def printed(outcome: Outcome) -> str:
    screen = StringIO()
    seen = evidence(dead_letters=[], poison=set(), records=[], inboxes={}, answered={})
    print_summary(Console(file=screen, width=200), summarize(outcome, seen))
    return screen.getvalue()


def test_what_the_api_says_of_a_refused_line_is_printed_as_it_is() -> None:
    message = "payment_method: must match ^pm_[a-z0-9_]{1,60}$ [/red] [bold]"

    assert message in printed(replace(OUTCOME, rejected=[Rejected(7, 422, "VALIDATION[1]", message)]))


def test_a_broken_rule_is_printed_as_it_is() -> None:
    refused = [Rejected(7, 422, "X", "y")]
    unknown = {"[red]": Placed("[red]", ADA, NOON)}

    assert "broken: " in (text := printed(Outcome(accepted=unknown, rejected=refused)))
    assert "[red]" in text


def test_away_from_a_terminal_the_progress_is_told_in_lines() -> None:
    screen = StringIO()

    with LiveView(Console(file=screen, width=200, log_path=False), 3, every=0) as view:
        view.line_sent()
        view.show(evidence())

    assert "1 of 3 lines sent, 1 of 1 orders settled, " in screen.getvalue()


def test_an_order_that_was_confirmed_and_then_cancelled_explains_its_confirmation() -> None:
    cancelled = replace(evidence().orders["1"], status="CANCELLED", was_confirmed=True)
    screen = StringIO()

    print_summary(Console(file=screen, width=200), summarize(OUTCOME, evidence(orders={"1": cancelled})))

    rows = [" ".join(word for word in line.split() if word.isalnum()) for line in screen.getvalue().splitlines()]
    assert "orders confirmed at the end 0 database" in rows
    assert "orders confirmed then cancelled by their customer 1 same" in rows
