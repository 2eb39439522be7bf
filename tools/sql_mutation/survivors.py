"""Mutants of SQL that no test can kill, or that none should, each with its reason."""

from dataclasses import dataclass

from tools.sql_mutation.mutants import SqlMutant


@dataclass(frozen=True)
class Explained:
    """The mutants of `file` (its end) that turn what has `before` in it into what has `after` in it."""

    file: str
    before: str
    after: str
    reason: str

    def covers(self, mutant: SqlMutant) -> bool:
        return mutant.file.endswith(self.file) and self.before in mutant.before and self.after in mutant.after


EXPLAINED: tuple[Explained, ...] = ()


def reason_for(mutant: SqlMutant) -> str | None:
    """Why a mutant may live; None if no reason is given."""
    return next((one.reason for one in EXPLAINED if one.covers(mutant)), None)
