"""Events in memory live as long as their process, and what ends with it is told."""

from tests.stage import raw


async def test_events_that_end_with_the_process_are_told(stage, caplog):
    s = stage()
    await s.send(raw("a"), raw("a"))
    await s.transport.close()

    assert (
        "dropped 2 unhandled events: memory:// does not outlive the process"
        in caplog.text
    )
