"""The name of what is published: the version is the tested commit of git, the branch is git's branch."""

import os
import re
import subprocess
from dataclasses import dataclass

from pact_faststream.broker.settings import BrokerSettingError, BrokerSettings

SHOWN = 3
"""The number of changed files that a message names."""
MERGE_QUEUE = re.compile(r"gh-readonly-queue/(?P<branch>.+)/pr-\d+-[0-9a-f]+")
"""The branch of a merge queue; what it holds becomes `branch` as it is, under the same commit."""


@dataclass(frozen=True)
class Revision:
    """A service's version and branch, as the broker knows them."""

    version: str
    branch: str


def revision_to_publish(settings: BrokerSettings) -> Revision:
    """The revision to publish under. Raises BrokerSettingError, also if files differ from the commit."""
    if settings.version is None and (changed := _git("status", "--porcelain").splitlines()):
        files = ", ".join(line[3:] for line in changed[:SHOWN]) + (", ..." if len(changed) > SHOWN else "")
        raise BrokerSettingError(
            f"the work tree is not what the commit says ({files}): commit first, or name the version in PACT_VERSION"
        )
    return Revision(version_in_use(settings), _branch(settings))


def version_in_use(settings: BrokerSettings) -> str:
    """Raises BrokerSettingError."""
    return settings.version or _git("rev-parse", "HEAD")


def _branch(settings: BrokerSettings) -> str:
    branch = settings.branch or _checked_out_branch() or os.environ.get("GITHUB_HEAD_REF") or _github_branch()
    if not branch:
        raise BrokerSettingError("no branch is checked out: name it in PACT_BRANCH")
    return branch


def _checked_out_branch() -> str:
    """Empty if a commit is checked out, as in CI, or if there is no repository, as in an image."""
    try:
        return _git("branch", "--show-current")
    except BrokerSettingError:
        return ""


def _github_branch() -> str:
    if os.environ.get("GITHUB_REF_TYPE") == "tag":
        return ""
    name = os.environ.get("GITHUB_REF_NAME", "")
    queued = MERGE_QUEUE.fullmatch(name)
    return queued["branch"] if queued else name


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
        raise BrokerSettingError(f"git can't say the version ({reason}): name it in PACT_VERSION") from None
    return done.stdout.rstrip()
