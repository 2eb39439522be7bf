"""Which mutants are made of SQL, so that a score over them says something."""

import pytest

from tools.sql_mutation.mutants import mutants_of


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
