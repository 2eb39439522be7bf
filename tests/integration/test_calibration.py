"""What CPU costs beside a measurement: asked of a process of its own, as long as the measurement goes on."""

from backing_services.waiting import eventually

from tools.measuring.calibration import calibrating


async def test_pieces_of_work_are_told_while_the_block_runs_and_not_after_it() -> None:
    async with calibrating() as calibration:
        await eventually(lambda: len(calibration) >= 3)
    done = len(calibration)

    assert calibration.since(0) > 0
    assert calibration.since(done - 1) > 0
