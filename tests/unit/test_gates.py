"""Each command that CI runs as a gate ends with another status than 0 where what it looks for is wrong.

What it looks at is given here: how it is measured, other tests say.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pact_faststream.matrix.judgement import Verdict

from tools.console_check import GOAL_MS, Outcome
from tools.contract_matrix.subjects import HAND_TYPED, NAIVE, OURS
from tools.contract_matrix.values import VERIFICATION
from tools.examples import MOST_LINES
from tools.mistakes.catalogue import BY_PART
from tools.mistakes.levels import Stop
from tools.mutation.workspace import Mutant
from tools.packaged import StepError
from tools.scratch import ROOT

MAKEFILE, CI = (ROOT / "Makefile").read_text(), (ROOT / ".ci/run").read_text()


class Command:
    """The main module of a command, with parts of it replaced."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module: Any = import_module(f"{name}.__main__")
        self.patch = monkeypatch
        if hasattr(self.module, "asyncio"):
            # what would run is given as its outcome; and a loop of its own would open sockets
            monkeypatch.setattr(self.module, "asyncio", SimpleNamespace(run=lambda outcome: outcome))

    def has(self, **parts: Any) -> None:
        for name, part in parts.items():
            self.patch.setattr(self.module, name, part)

    def gives(self, **outcomes: Any) -> None:
        """Functions of it, whatever they are asked, return this."""
        self.has(**{name: _returning(outcome) for name, outcome in outcomes.items()})

    def status(self, **options: Any) -> int:
        try:
            returned = self.module.main(**options)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        return int(returned or 0)


def _returning(outcome: Any) -> Callable[..., Any]:
    def returns(*_: Any, **__: Any) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return returns


@pytest.fixture
def command(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(request.param, monkeypatch)


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("command", [name], indirect=True)


ELSEWHERE: Mapping[str, str] = {
    "asyncapi_gate": "libs/asyncapi_gate/tests/integration/test_command.py",
    "backing_services.faults.fetch": "libs/backing_services/tests/integration/test_faults.py",
    "backing_services.kafka.fetch": "libs/backing_services/tests/integration/test_kafka.py",
    "docs.site.domain": "tests/unit/test_domain_page.py",
    "pact_faststream.diagram": "libs/pact_faststream/tests/contract/test_pact_diagram.py",
    "shop_demo.one_service": "demo/tests/integration/test_up.py",
}
"""Commands whose end is tested at another place."""


def test_each_command_of_ci_is_tried_with_something_wrong() -> None:
    made = set(re.findall(r"^ *(?:[A-Z_]+=\S+ )*make ([a-z-]+)", CI, re.MULTILINE))
    recipes = {target: re.findall(rf"^{target}:[^\n]*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE) for target in made}
    modules = {
        each for found in recipes.values() for recipe in found for each in re.findall(r"python -m ([\w.]+\w)", recipe)
    }

    tried = set(re.findall(r'@of\("([\w.]+)"\)', Path(__file__).read_text()))
    untried = modules - tried - ELSEWHERE.keys()
    assert untried == set(), "try it here with something wrong, or say in ELSEWHERE where that is done"
    assert [file for file in ELSEWHERE.values() if not (ROOT / file).exists()] == []


@of("tools.crash_points")
@pytest.mark.parametrize("violations", [0, 1])
def test_crash_points_ends_with_1_for_a_violation(command: Command, violations: int) -> None:
    command.patch.setenv("BACKING_KAFKA", "embedded")
    command.gives(why_unavailable="no Java", count_violations=violations)

    assert command.status(only="") == violations


@of("tools.crash_points")
def test_crash_points_ends_with_2_for_a_step_at_which_nobody_crashes(command: Command) -> None:
    command.gives(steps_without_a_point=["task.new"])

    assert command.status(only="") == 2


@of("tools.faults")
@pytest.mark.parametrize("fallen", [0, 1])
def test_faults_ends_with_1_for_a_rule_that_fell(command: Command, tmp_path: Path, fallen: int) -> None:
    folder = tmp_path / "faults"
    folder.mkdir()
    command.has(tempfile=SimpleNamespace(mkdtemp=lambda **_: str(folder)))
    command.gives(_run=fallen)

    options = {"orders": 100, "seed": 1, "rate": 10, "minutes": None, "replicas": 1, "kills": 1, "stuck": 1}
    assert command.status(**options, measure=False) == fallen


CONTRACTS = BY_PART["contracts"]
CAUGHT = Stop("unit", 0.1, ())
FEW = sum(map(len, BY_PART.values())) // 20
"""Five of a hundred."""


@of("tools.mistakes")
@pytest.mark.parametrize(
    ("part", "missed", "status"), [("contracts", 0, 0), ("contracts", 1, 1), ("", 0, 0), ("", FEW, 0), ("", FEW + 1, 1)]
)
def test_mistakes_ends_with_1_for_one_of_a_part_that_passed_and_for_some_of_all(
    command: Command, part: str, missed: int, status: int
) -> None:
    def made(mistakes: Sequence[Any], *_: object) -> Iterator[tuple[Any, Stop | None]]:
        for number, mistake in enumerate(mistakes):
            yield mistake, None if number < missed else Stop(mistake.gate or "unit", 0.1, ())

    command.gives(scratches=nullcontext([]))
    command.has(_made=made)

    assert command.status(only="", part=part, at_once=1, sound=False) == status


@of("tools.mistakes")
def test_mistakes_ends_with_1_where_the_wrong_level_caught_one(command: Command) -> None:
    gated = next(mistake for mistake in CONTRACTS if mistake.gate not in {"", CAUGHT.level})
    command.gives(scratches=nullcontext([]), _made=[(gated, CAUGHT)])

    assert command.status(only=gated.title, part="contracts", at_once=1, sound=False) == 1


@of("tools.contract_coverage")
@pytest.mark.parametrize("problems", [[], ["nobody reads it"]])
def test_contract_coverage_ends_with_1_for_a_field_that_nothing_holds(command: Command, problems: list[str]) -> None:
    command.gives(covered=[SimpleNamespace(held=1, fields=1, problems=problems)], unread={})

    assert command.status() == len(problems)


def verdicts(*, missed: bool = False, refused: bool = False) -> list[Verdict]:
    styles = (OURS, HAND_TYPED, NAIVE, VERIFICATION)
    return [
        Verdict("breaking", breaking=True, passes=dict.fromkeys(styles, missed)),
        Verdict("harmless", breaking=False, passes=dict.fromkeys(styles, not refused)),
    ]


@of("tools.contract_matrix")
@pytest.mark.parametrize(
    ("of_forms", "of_values", "status"),
    [
        (verdicts(), verdicts(), 0),
        (verdicts(missed=True), verdicts(), 1),
        (verdicts(refused=True), verdicts(), 1),
        (verdicts(), verdicts(missed=True), 1),
    ],
)
def test_contract_matrix_ends_with_1_for_what_was_missed_and_for_much_that_was_refused(
    command: Command, of_forms: list[Verdict], of_values: list[Verdict], status: int
) -> None:
    command.patch.setenv("SSL_CERT_FILE", "")
    command.has(structlog=SimpleNamespace(configure=_returning(None), make_filtering_bound_logger=_returning(None)))
    command.gives(
        judged=nullcontext(iter(of_values)), silent=nullcontext(), judge_all=[(SimpleNamespace(name="x"), of_forms)]
    )

    assert command.status() == status


@of("tools.gate_matrix")
@pytest.mark.parametrize(
    ("breaks", "refused", "status"), [(True, True, 0), (True, False, 1), (False, False, 0), (False, True, 1)]
)
def test_gate_matrix_ends_with_1_for_what_passed_and_for_what_was_refused_in_vain(
    command: Command, breaks: bool, refused: bool, status: int
) -> None:
    others = SimpleNamespace(verdicts={"another": [breaks]}, missing={})
    truth = SimpleNamespace(is_breaking=breaks, breaks_a_model=breaks, witness="x")
    command.gives(changes=["x"], families={}, _forms=[], ask_others=others, truth_of=truth, refused=refused)

    assert command.status(verbose=False) == status


@of("tools.gate_matrix")
def test_gate_matrix_ends_with_1_where_a_tool_that_ci_requires_was_not_asked(command: Command) -> None:
    command.patch.setenv("REQUIRE", "node")
    others = SimpleNamespace(verdicts={}, missing={"another": "no Node.js"})
    truth = SimpleNamespace(is_breaking=True, breaks_a_model=True, witness="x")
    command.gives(changes=["x"], families={}, _forms=[], ask_others=others, truth_of=truth, refused=True)

    assert command.status(verbose=False) == 1


@of("tools.price")
@pytest.mark.parametrize("grown", [[], ["orders: commits 2.00 -> 3.00"]])
def test_price_ends_with_1_for_what_has_grown(command: Command, grown: list[str]) -> None:
    now = SimpleNamespace(processor=None, paced=SimpleNamespace(services={}))
    command.gives(read_baseline=object(), measured=now, growth=grown, _show=None, _last_line="price")

    assert command.status(orders=8, cpu=False, write=False) == len(grown)


def trial(*, rang: bool = True, others: Sequence[str] = (), clear: float | None = 1.0) -> SimpleNamespace:
    return SimpleNamespace(rang_in_time=rang, others=others, clear=clear, fault=SimpleNamespace(name="a fault"))


@of("tools.alarms")
@pytest.mark.parametrize(
    ("tried", "false", "status"),
    [
        (trial(), 0, 0),
        (trial(rang=False), 0, 1),
        (trial(others=["ApiSlow"]), 0, 1),
        (trial(clear=None), 0, 1),
        (trial(), 1, 1),
    ],
)
def test_alarms_ends_with_1_for_what_did_not_ring_or_end_and_for_what_rang_wrongly(
    command: Command, tried: SimpleNamespace, false: int, status: int
) -> None:
    command.gives(program=None, _run=([tried], 10, false), _table="")

    assert command.status(only=None, healthy_orders=1, rate=4, write=False) == status


@of("tools.dashboards")
@pytest.mark.parametrize("wrong", ["", "has no figure"])
def test_dashboards_ends_with_1_for_an_empty_panel(command: Command, wrong: str) -> None:
    command.gives(program=None, _checked=[SimpleNamespace(wrong=wrong)])

    assert command.status(check=True) == bool(wrong)


@of("tools.telemetry_check")
@pytest.mark.parametrize("deviations", [[], ["a span has no kind"]])
def test_telemetry_check_ends_with_1_for_a_deviation(command: Command, deviations: list[str]) -> None:
    collector = SimpleNamespace(spans=[])
    command.has(Collector=SimpleNamespace(listening=lambda: nullcontext(collector)))
    command.gives(_deviations=deviations)

    assert command.status(orders=20, rounds=1, cost=False) == len(deviations)


@of("tools.pythons")
@pytest.mark.parametrize(
    ("here", "passes", "require", "status"),
    [
        (["3.11", "3.12"], True, "pythons", 0),
        (["3.11", "3.12"], False, "", 1),
        (["3.11"], True, "", 0),
        (["3.11"], True, "pythons", 2),
    ],
)
def test_pythons_ends_with_1_for_tests_that_fail_and_with_2_for_a_required_python_that_is_missing(
    command: Command, here: list[str], passes: bool, require: str, status: int
) -> None:
    command.patch.setenv("REQUIRE", require)
    command.gives(available={version: Path(version) for version in here}, _passes=passes)

    assert command.status(python=["3.11", "3.12"]) == status


@of("tools.floors")
@pytest.mark.parametrize("status", [0, 1, 5])
def test_floors_ends_with_1_for_tests_that_fail_or_are_none(command: Command, status: int) -> None:
    environment = SimpleNamespace(python="python")
    command.has(
        Environment=SimpleNamespace(made=lambda *_: environment),
        subprocess=SimpleNamespace(run=lambda *_, **__: SimpleNamespace(returncode=status)),
    )
    command.gives(_empty=None, interpreter=None, _install=None)

    assert command.status(python="3.11", level="unit") == bool(status)


@of("tools.floors")
def test_floors_ends_with_1_where_the_versions_do_not_go_together(command: Command) -> None:
    command.has(Environment=SimpleNamespace(made=lambda *_: None))
    command.gives(_empty=None, interpreter=None, _install=StepError("no solution"))

    assert command.status(python="3.11", level="unit") == 1


@of("tools.examples")
@pytest.mark.parametrize(("outcome", "status"), [(MOST_LINES, 0), (MOST_LINES + 1, 1), (StepError("a test failed"), 1)])
def test_examples_ends_with_1_for_tests_that_fail_and_for_too_many_lines(
    command: Command, outcome: int | StepError, status: int
) -> None:
    command.gives(available={"3.11": Path("python")}, build=None, try_all=outcome)

    assert command.status(python=None) == status


@of("tools.installed")
@pytest.mark.parametrize("part", ["build", "_each_extra", "_as_documented"])
def test_installed_ends_with_1_for_a_step_that_fails(command: Command, part: str) -> None:
    library = SimpleNamespace(distribution="x")
    command.gives(build=None, libraries=[library], _each_extra=1, _as_documented="")
    assert command.status() == 0

    command.gives(**{part: StepError("it failed")})

    assert command.status() == 1


@of("tools.new_service_check")
def test_new_service_check_ends_with_1_for_a_gate_that_is_not_green(command: Command) -> None:
    options = {"name": "shipping", "reads": "order.confirmed", "publishes": "", "short": True}
    command.gives(_checked=1)
    assert command.status(**options) == 0

    command.gives(_checked=command.module.GateError("red"))

    assert command.status(**options) == 1


@of("tools.broker_walkthrough")
def test_broker_walkthrough_ends_with_1_for_another_answer_than_the_pages(command: Command) -> None:
    command.gives(_broker=nullcontext(("http://broker", "a stand-in")), walk=nullcontext(SimpleNamespace(steps=1)))
    command.gives(play=None)
    assert command.status() == 0

    command.gives(play=command.module.UnexpectedAnswerError("yes instead of no"))

    assert command.status() == 1


@of("tools.mutation")
@pytest.mark.parametrize(
    ("killed", "unexplained", "against", "status"), [(19, 0, "", 0), (18, 0, "", 1), (19, 1, "", 1), (18, 0, "main", 0)]
)
def test_mutation_ends_with_1_for_a_survivor_without_a_reason_and_for_too_many_with_one(
    command: Command, killed: int, unexplained: int, against: str, status: int
) -> None:
    mutants = [Mutant(str(number), "outboxed/relay.py", killed=number < killed) for number in range(20)]
    copy = SimpleNamespace(judge=_returning(mutants))
    command.gives(workspace=nullcontext(copy), _show=unexplained, _changed=[("outboxed/relay.py", "x")])

    assert command.status(against=against) == status


@of("tools.console_check")
@pytest.mark.parametrize(
    ("faults", "milliseconds", "status"), [([], GOAL_MS, 0), ([], GOAL_MS + 1, 1), (["/orders says: an error"], 1, 1)]
)
async def test_console_check_ends_with_1_for_what_is_wrong_and_for_pages_that_are_slow(
    command: Command, tmp_path: Path, faults: list[str], milliseconds: float, status: int
) -> None:
    class Browser:
        async def __aenter__(self) -> None: ...
        async def __aexit__(self, *_: object) -> None: ...

    async def check(*_: object) -> Outcome:
        return Outcome(1, faults, {"/orders": [milliseconds]})

    command.has(check=check, FOLDER=tmp_path / "console", ROOT=tmp_path)
    command.gives(missing="", chromium=Browser())

    assert await command.module._main() == status  # noqa: SLF001 - the command itself


@of("shop_demo")
@pytest.mark.parametrize("broken", [[], ["every order ends: 1 is still PENDING"]])
async def test_the_demo_ends_with_1_for_a_broken_rule(
    monkeypatch: pytest.MonkeyPatch, command: Command, broken: list[str]
) -> None:
    async def nothing(*_: object, **__: object) -> None: ...

    monkeypatch.setattr(command.module, "asyncio", asyncio)
    nobody = SimpleNamespace(line_sent=None)
    summary = SimpleNamespace(broken=broken, as_json=dict)
    command.has(
        Ports=SimpleNamespace(free=lambda: None),
        Customers=SimpleNamespace(of=lambda _: nullcontext(nobody)),
        place_all=nothing,
        _keep_looking=nothing,
        _at_rest=nothing,
    )
    command.gives(System=nullcontext(), Ledgers=nullcontext(), LiveView=nullcontext(nobody), summarize=summary)

    status = await command.module._run([], None, 1, as_json=True)  # noqa: SLF001 - the command itself

    assert status == len(broken)


@of("docs.site")
@pytest.mark.parametrize("status", [0, 1])
def test_the_site_ends_with_1_for_whatever_mkdocs_warns_of(command: Command, status: int) -> None:
    asked: list[Sequence[str]] = []

    def run(asking: Sequence[str], **_: object) -> SimpleNamespace:
        asked.append(asking)
        return SimpleNamespace(returncode=status, stdout="", stderr="")

    command.has(subprocess=SimpleNamespace(run=run))

    assert command.module._build() == status  # noqa: SLF001 - the last part of the command
    assert "--strict" in asked[0], "without it a link that leads nowhere is a warning"


@of("docs.site")
def test_the_site_ends_with_1_where_a_journey_fails(command: Command, tmp_path: Path) -> None:
    command.has(STAGE=tmp_path / "stage", SERVICES=(), reference=SimpleNamespace(pages=list))
    command.gives(fetched=tmp_path, _pages=set(), _stories={}, _build=0)

    assert command.status() == 1
