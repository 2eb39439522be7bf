import subprocess
import sys

from shop_harness.services import ROOT

from tools.crash_points.points import POINTS, steps_without_a_point


def test_every_step_is_cut_somewhere_and_no_process_twice_at_the_same_one() -> None:
    assert not steps_without_a_point()
    assert len({str(point) for point in POINTS}) == len(POINTS) >= 25


def test_a_forked_role_has_imported_nothing_that_reads_its_failpoint() -> None:
    look = "import sys, tools.crash_points.roles; print([name for name in sys.modules if name.startswith('outboxed')])"
    looked = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True, cwd=ROOT, text=True)  # noqa: S603
    assert looked.stdout == "[]\n"
