"""No class shows a secret: an error, a log line and a failed assertion print what they are about."""

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
