"""How good a contract is: how it judges hundreds of changed messages."""

from pact_faststream.matrix.judgement import Handle, Score, Style, Subject, Verdict, judge

__all__ = ["Handle", "Score", "Style", "Subject", "Verdict", "judge"]
