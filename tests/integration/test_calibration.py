"""What CPU costs beside a measurement: asked of a process of its own, as long as the measurement goes on."""

from backing_services.waiting import eventually

from tools.measuring.calibration import calibrating


async def test_pieces_of_work_are_told_while_the_block_runs() -> None:
    async with calibrating() as pieces:
        await eventually(lambda: len(pieces) >= 3)

    assert all(milliseconds > 0 for milliseconds in pieces)
