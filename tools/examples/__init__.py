"""The projects of examples/: what each changed, and its tests from built libraries."""

from tools.examples.trying import EXAMPLES, MOST_LINES, names, try_all

__all__ = ["EXAMPLES", "MOST_LINES", "names", "try_all"]
