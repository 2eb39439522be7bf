"""What a statement is, in two or three words: `insert outbox`, `update tasks`, `select now`."""

import re
from functools import lru_cache

CONTROL = {"begin", "start", "commit", "rollback"}
"""Words that begin and end a transaction, and are no work."""
READING = {"select", "with", "values"}
WRITING = {"insert", "update", "delete", "merge"}
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_NAME = r'(?:only\s+)?((?:[\w"]+\.)?["\w]+)'
_WRITE = re.compile(rf"(?:^|[()])\s*(insert\s+into|update|delete\s+from|merge\s+into)\s+{_NAME}")
"""At the begin of the statement or of a part of it: `for update` and `do update` are no updates."""
_READ = re.compile(rf"\b(?:from|join)\s+{_NAME}(?!\s*\()(?![\w\"])")
_NAMED = re.compile(r"(?:\bwith(?: recursive)?|,) (\w+) (?:\([^)]*\) )?as (?:not )?(?:materialized )?\(")
"""Tables that the statement itself makes."""
_WORD = re.compile(r"\w+")
_CALL = re.compile(r"([\w.]+)\s*\(")


@lru_cache(maxsize=4096)
def hop(statement: str) -> str:
    """The verb and the table of what it writes, else of what it reads, else the function that it calls."""
    text = " ".join(_COMMENT.sub(" ", statement).lower().split())
    writes = [f"{verb.split()[0]} {_bare(table)}" for verb, table in _WRITE.findall(text)]
    if writes:
        return " + ".join(dict.fromkeys(writes))
    word = _WORD.search(text)
    if word is None:
        return "nothing"
    if word[0] not in READING:
        return word[0]
    named = set(_NAMED.findall(text))
    tables = [table for table in map(_bare, _READ.findall(text)) if table not in named]
    if tables:
        return f"select {tables[0]}"
    call = _CALL.search(text)
    return f"select {call[1]}" if call else "select"


def is_control(statement: str) -> bool:
    """Whether it only begins or ends a transaction."""
    return hop(statement) in CONTROL


def writes(statement: str) -> bool:
    """Whether it inserts, changes or deletes."""
    return hop(statement).partition(" ")[0] in WRITING


def _bare(table: str) -> str:
    return table.replace('"', "").rpartition(".")[2]
