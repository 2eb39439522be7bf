from tools.crash_points.points import POINTS, steps_without_a_point


def test_every_step_is_cut_somewhere_and_no_process_twice_at_the_same_one() -> None:
    assert not steps_without_a_point()
    assert len({str(point) for point in POINTS}) == len(POINTS) >= 25
