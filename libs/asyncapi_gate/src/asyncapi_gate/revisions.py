"""The documents of another revision, as git has them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from asyncapi_gate.reading import Document, parsed


class RevisionError(Exception):
    """Git failed; the message is one line for a person."""


def documents_at(revision: str, folder: Path) -> Mapping[str, Document]:
    """The documents that a folder of a work tree had at a revision, by file name; none where there was no such folder.

    The documents are those of the last commit that the revision and this branch share: this branch never had what the
    revision published later. Raises RevisionError if git, the repository, the revision or a shared commit is missing,
    and UnreadableDocumentError.
    """
    here = next(place for place in (folder, *folder.parents) if place.is_dir())
    below = folder.relative_to(here).as_posix()
    tip = _git(here, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").strip()
    commit = _git(here, "merge-base", tip, "HEAD").strip()
    listed = _git(here, "ls-tree", "-z", "--name-only", commit, f"./{below}/").split("\0")
    names = [PurePosixPath(path).name for path in listed if path.endswith(".json")]
    texts = {name: _git(here, "show", f"{commit}:./{below}/{name}") for name in names}
    return {name: parsed(text, f"{name} at {revision}") for name, text in texts.items()}


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
        raise RevisionError(f"git can't say what to compare with ({reason})") from None
    return done.stdout
