"""Mutants of SQL: a statement that SQLAlchemy builds, with one part dropped or turned into its opposite."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

DROPPED = {
    "distinct",
    "group_by",
    "having",
    "join",
    "limit",
    "on_conflict_do_nothing",
    "on_conflict_do_update",
    "order_by",
    "returning",
    "where",
    "with_for_update",
}
"""A statement without this part is still a statement."""
DROPPED_KEYWORDS = {"index_elements", "order_by", "skip_locked", "where"}
SWAPPED = {
    "all_": "any_",
    "and_": "or_",
    "any_": "all_",
    "clock_timestamp": "now",
    "desc": "asc",
    "greatest": "least",
    "in_": "not_in",
    "is_": "is_not",
    "is_distinct_from": "is_not_distinct_from",
    "is_not": "is_",
    "is_not_distinct_from": "is_distinct_from",
    "least": "greatest",
    "max": "min",
    "min": "max",
    "or_": "and_",
}
OPERATORS = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
}


@dataclass(frozen=True)
class SqlMutant:
    """`file` with one change: at `line`, `before` has become `after`. `source` is the whole file then."""

    file: str
    line: int
    before: str
    after: str
    source: str


def mutants_of(file: str, source: str) -> list[SqlMutant]:
    """Every mutant of a file's SQL, in the order of its lines."""
    text = _Text(source)
    found: dict[str, SqlMutant] = {}
    for node in ast.walk(ast.parse(source)):
        for part, after in _changes(node, text):
            mutated = text.with_change(part, after)
            before = text.of(part)
            found.setdefault(mutated, SqlMutant(file, part.lineno, _short(before), _short(after), mutated))
    return sorted(found.values(), key=lambda mutant: mutant.line)


Change = tuple[ast.expr, str]
"""A part of a file, and what becomes of it."""


def _changes(node: ast.AST, text: "_Text") -> Iterator[Change]:
    match node:
        case ast.Call(func=ast.Attribute() as function):
            yield from _changes_of_a_call(node, function, text)
        case ast.Tuple(elts=parts) if isinstance(node.ctx, ast.Load) and all(map(_is_condition, parts)):
            for part in parts if len(parts) > 1 else ():
                yield node, "".join(f"{text.of(each)}, " for each in parts if each is not part)  # of one: still a tuple
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            yield node, text.of(operand)
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr(), right=right) if _is_sql(node):
            yield node, text.of(left)
            yield node, text.of(right)
        case (
            ast.BinOp(left=left, op=operator, right=right) | ast.Compare(left=left, ops=[operator], comparators=[right])
        ) if type(operator) in OPERATORS and _is_sql(node):
            yield node, text.with_operator(node, left, right, *OPERATORS[type(operator)])


def _changes_of_a_call(node: ast.Call, function: ast.Attribute, text: "_Text") -> Iterator[Change]:
    name, on = function.attr, function.value
    if name in DROPPED and not (_is_sqlalchemy(on) or isinstance(on, ast.Constant)):
        yield node, text.of(on)
    if name in SWAPPED:
        yield function, f"{text.of(on)}.{SWAPPED[name]}"
    if name == "coalesce":
        yield node, text.of(node.args[0])
    if name in {"and_", "or_", "where"}:
        for part in node.args if len(node.args) > 1 else ():
            yield node, text.without(part, of=node)
    for keyword in node.keywords:
        if keyword.arg in DROPPED_KEYWORDS or (name == "values" and keyword.arg and len(node.keywords) > 1):
            yield node, text.without(keyword, of=node)


def _is_sqlalchemy(node: ast.expr) -> bool:
    """`sa` or `sa.func` itself: what is called on it is no part of a chain."""
    return (isinstance(node, ast.Name) and node.id == "sa") or (isinstance(node, ast.Attribute) and node.attr == "func")


def _is_sql(node: ast.AST) -> bool:
    """Whether columns or functions of SQLAlchemy are in an expression."""
    return any(
        isinstance(each, ast.Attribute)
        and (each.attr in {"c", "func"} or (_is_sqlalchemy(each.value) and each.attr.islower()))  # no class
        for each in ast.walk(node)
    )


def _is_condition(node: ast.expr) -> bool:
    compares = isinstance(node, ast.Compare | ast.UnaryOp) and _is_sql(node)
    return compares or (isinstance(node, ast.Attribute) and node.attr.startswith("is_"))


def _short(text: str) -> str:
    return " ".join(text.split())


class _Text:
    """A file's text by the places that `ast` gives, which count bytes."""

    def __init__(self, source: str) -> None:
        self._bytes = source.encode()
        starts = [0]
        for line in self._bytes.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        self._starts = starts

    def of(self, node: ast.expr) -> str:
        begin, end = self._span(node)
        return self._bytes[begin:end].decode()

    def with_change(self, node: ast.expr, after: str) -> str:
        """The whole text, with this in the place of a part; in brackets where a part of an expression was."""
        begin, end = self._span(node)
        return (self._bytes[:begin] + b"(" + after.encode() + b")" + self._bytes[end:]).decode()

    def with_operator(self, node: ast.expr, left: ast.expr, right: ast.expr, old: str, new: str) -> str:
        """An expression with another operator between its sides."""
        (begin, end), (_, behind_left), (right_begins, _) = self._span(node), self._span(left), self._span(right)
        between = self._bytes[behind_left:right_begins].replace(old.encode(), new.encode(), 1)
        return (self._bytes[begin:behind_left] + between + self._bytes[right_begins:end]).decode()

    def without(self, part: ast.expr | ast.keyword, *, of: ast.Call) -> str:
        """A call without one of its arguments, and without the comma behind it."""
        (begin, end), (cut, rest) = self._span(of), self._span(part)
        behind = self._bytes[rest:end].decode().lstrip()
        if behind.startswith(","):
            behind = behind[1:].lstrip()
        return self._bytes[begin:cut].decode() + behind

    def _span(self, node: ast.expr | ast.keyword) -> tuple[int, int]:
        at: Callable[[int, int], int] = lambda line, column: self._starts[line - 1] + column  # noqa: E731
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return at(node.lineno, node.col_offset), at(node.end_lineno, node.end_col_offset)
