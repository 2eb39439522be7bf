"""Which mutants are made of SQL, and which count as killed, so that a score over them says something."""

import subprocess

import pytest

from tools.scratch import ROOT, ScratchError
from tools.sql_mutation.__main__ import files, verdict_of
from tools.sql_mutation.mutants import mutants_of
from tools.sql_mutation.survivors import EXPLAINED


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("sa.select(t).where(t.c.a)", {"(sa.select(t))"}),
        ("sa.select(t).where(a, b)", {"(sa.select(t))", "(sa.select(t).where(b))", "(sa.select(t).where(a, ))"}),
        ("sa.select(t).limit(1)", {"(sa.select(t))"}),
        ("sa.select(t).with_for_update(skip_locked=True)", {"(sa.select(t))", "(sa.select(t).with_for_update())"}),
        ("t.c.a < t.c.b", {"(t.c.a <= t.c.b)"}),
        ("t.c.a + 1", {"(t.c.a - 1)"}),
        ("~sa.exists()", {"(sa.exists())"}),
        ("(t.c.a == 1) & held", {"(t.c.a == 1)", "(held)", "((t.c.a != 1)) & held"}),
        ("sa.or_(a, b)", {"(sa.and_)(a, b)", "(sa.or_(b))", "(sa.or_(a, ))"}),
        ("(t.c.a + 1) * (t.c.b + 2)", {"((t.c.a - 1)) * (t.c.b + 2)", "(t.c.a + 1) * ((t.c.b - 2))"}),
        ("sa.func.coalesce(a, 0)", {"(a)"}),
        ("sa.func.min(a)", {"(sa.func.max)(a)"}),
        ("t.c.a.desc()", {"(t.c.a.asc)()"}),
        ("t.update().values(a=1, b=2)", {"(t.update().values(b=2))", "(t.update().values(a=1, ))"}),
        ("CONDITIONS = t.c.a == 1, t.c.b == 2", None),
    ],
)
def test_a_part_of_a_statement_is_dropped_or_turned_into_its_opposite(source: str, changed: set[str] | None) -> None:
    mutated = {mutant.source for mutant in mutants_of("any.py", source)}

    if changed is None:
        changed = {
            "CONDITIONS = (t.c.b == 2, )",
            "CONDITIONS = (t.c.a == 1, )",
            "CONDITIONS = (t.c.a != 1), t.c.b == 2",
            "CONDITIONS = t.c.a == 1, (t.c.b != 2)",
        }
    assert mutated == changed


@pytest.mark.parametrize(
    "source",
    ["a < b", "total + 1", "def f(x: sa.Engine | str): ...", '", ".join(names)', "f(where=1) if a == 1 else b"],
)
def test_what_is_no_sql_stays(source: str) -> None:
    assert mutants_of("any.py", source) == []


def test_a_mutant_says_where_it_is_in_a_file_that_is_not_ascii() -> None:
    source = '"""Größe"""\n\nfirst = sa.select(t).where(\n    t.c.größe == 1,\n)\n'

    mutants = mutants_of("any.py", source)

    assert [(mutant.line, mutant.before) for mutant in mutants] == [
        (3, "sa.select(t).where( t.c.größe == 1, )"),
        (4, "t.c.größe == 1"),
    ]
    assert mutants[0].source == '"""Größe"""\n\nfirst = (sa.select(t))\n'


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "verdict"),
    [
        (0, "", "", (False, "SURVIVED")),
        (1, "FAILED tests/test_a.py::test_b - assert 1", "", (True, "FAILED tests/test_a.py::test_b")),
        (2, "ERROR tests/test_a.py", "", (True, "ERROR tests/test_a.py")),
        (4, "", "ImportError while loading conftest", (True, "the code can't be imported")),
        (1, "+++++ Timeout +++++\n~~~ Stack of MainThread ~~~", "", (True, "a test hangs")),
    ],
)
def test_a_mutant_is_killed_by_a_test_that_fails_or_hangs_or_by_the_import_of_the_code(
    code: int, stdout: str, stderr: str, verdict: tuple[bool, str]
) -> None:
    assert verdict_of(subprocess.CompletedProcess([], code, stdout, stderr)) == verdict


@pytest.mark.parametrize(("code", "stderr"), [(-9, "Killed"), (3, "INTERNALERROR"), (5, "no tests ran"), (1, "")])
def test_a_run_that_judges_nothing_kills_no_mutant(code: int, stderr: str) -> None:
    with pytest.raises(ScratchError):
        verdict_of(subprocess.CompletedProcess([], code, "", stderr))


def test_a_mutant_with_a_reason_is_one_that_there_is() -> None:
    mutants = [mutant for file in files() for mutant in mutants_of(file, (ROOT / file).read_text())]

    covered = {one: [mutant.line for mutant in mutants if one.covers(mutant)] for one in EXPLAINED}

    assert [(one, lines) for one, lines in covered.items() if len(lines) != 1] == []
