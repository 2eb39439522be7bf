"""No class shows a secret and no log line a customer: more people read them than data, and they are kept for longer."""

import ast
import re
from collections.abc import Iterator

import pytest

from tools.scratch import ROOT, projects

SOURCES = [file for folder in projects() for file in sorted(folder.glob("src/**/*.py"))]
WORD = re.compile("password|secret|private_key|token|csrf")
SECRET = re.compile(rf"(?:\w+_)?(?:{WORD.pattern}|password_hash)")
NO_SECRET = {"ClaimedTask.token", "StoredTask.token", "Task.token"}
"""It tells a worker's claim from the next one's, and opens nothing."""


def shown(source: str) -> Iterator[str]:
    """The fields of classes that have a secret and show it."""
    if not WORD.search(source):
        return
    for cls in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)):
        for part in (part for part in cls.body if isinstance(part, ast.AnnAssign)):
            name = ast.unparse(part.target)
            if not SECRET.fullmatch(name) or f"{cls.name}.{name}" in NO_SECRET:
                continue
            written = ast.unparse(part)
            if "SecretStr" not in written and "repr=False" not in written:
                yield f"{cls.name}.{name}"


def test_every_field_with_a_secret_is_left_out_of_what_its_class_shows() -> None:
    found = [f"{path.relative_to(ROOT)}: {each}" for path in SOURCES for each in shown(path.read_text())]

    assert found == [], "make it a SecretStr, or give it field(repr=False)"


@pytest.mark.parametrize(
    ("field", "is_shown"),
    [
        ("password: str", True),
        ("sasl_password: str = ''", True),
        ("access_token: Annotated[str, Field(min_length=1)]", True),
        ("password: SecretStr", False),
        ("password: str = field(repr=False)", False),
        ("access_token: Annotated[str, Field(repr=False)]", False),
        ("passwords: PasswordHasher", False),
    ],
)
def test_a_field_that_shows_a_secret_is_seen(field: str, is_shown: bool) -> None:
    assert list(shown(f"class Login:\n    {field}")) == ([f"Login.{field.partition(':')[0]}"] if is_shown else [])


SAYS = {"debug", "info", "warning", "error", "critical", "exception", "bind", "add_log_fields", "continued_trace"}
PERSON = re.compile(
    r"(?:\w+_)?(?:email|recipient|username|customer_name|password|payload|body|query_string|query_params|content)"
)


def people_in_logs(source: str) -> Iterator[str]:
    """The words of calls that log, or add fields to what is logged, which stand for a person's data.

    Who has changed something as an operator is named on purpose.
    """
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        logger = call.func.value if isinstance(call.func, ast.Attribute) else None
        if function not in SAYS or (logger is not None and "log" not in ast.unparse(logger)):
            continue
        for node in [*call.args, *(each for each in call.keywords if each.arg != "operator")]:
            for part in ast.walk(node):
                word = getattr(part, "arg", None) or getattr(part, "attr", None) or getattr(part, "id", None)
                if isinstance(word, str) and PERSON.fullmatch(word):
                    yield f"{function}: {word}"


def test_no_log_line_has_what_is_a_persons() -> None:
    found = [f"{path.relative_to(ROOT)}: {each}" for path in SOURCES for each in people_in_logs(path.read_text())]

    assert found == []


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ('log.warning("mail_outcome_unknown", recipient=mail.recipient)', True),
        ('log.info(f"sent to {user.email}")', True),
        ("add_log_fields(user=user.email)", True),
        ('log.info("request", query=scope["query_string"].decode(), path=request.query_params)', True),
        ('log.info("request", path=scope["path"])', False),
        ("mailer.send(email)", False),
    ],
)
def test_a_log_line_that_names_a_person_is_seen(line: str, names: bool) -> None:
    assert bool(list(people_in_logs(line))) is names
