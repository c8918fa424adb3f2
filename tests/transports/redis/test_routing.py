"""`stream_for` selects the stream of an event."""

from tests.transports.redis.entries import STREAM, pending, read_all


async def test_stream_for_selects_the_stream(make, client):
    t = await make(
        streams=("orders", "users"), stream_for=lambda kind: kind.split(".")[0]
    )
    kinds = ["orders.made", "users.left", "stock.low", "orders.sent"]
    raws = [kind.encode() for kind in kinds]
    await t.publish(raws, kinds, 1)
    await t.publish(raws, kinds, 1)

    assert 1 == client.xlen(STREAM)
    assert 2 == client.xlen(f"{STREAM}:orders")
    assert 1 == client.xlen(f"{STREAM}:users")
    entries = await read_all(t, 4)
    assert sorted(raws) == sorted(r.raw for r in entries)
    for received in entries:
        t.ack(received)
    await t.flush()
    for stream in (STREAM, f"{STREAM}:orders", f"{STREAM}:users"):
        assert 0 == pending(client, stream=stream)


async def test_events_go_to_the_services_own_stream_if_stream_for_fails(
    make, client, caplog
):
    names = {"orders.made": "orders", "wrong": ["no", "name"]}
    t = await make(streams=("orders",), stream_for=names.__getitem__)
    for _ in range(2):
        await t.publish([b"a", b"b", b"c"], ["orders.made", "new.type", "wrong"])

    assert (4, 2) == (client.xlen(STREAM), client.xlen(f"{STREAM}:orders"))
    (record,) = (r for r in caplog.records if "stream_for" in r.getMessage())
    assert "ERROR" == record.levelname
    assert record.getMessage().startswith(
        "stream_for failed for events of type new.type: they go"
    )


async def test_failures_of_stream_for_are_logged_for_a_limited_number_of_types(
    make, caplog
):
    t = await make(streams=("orders",), stream_for={}.__getitem__)
    kinds = [f"type.{n}" for n in range(200)]
    await t.publish([b"a"] * 200, kinds)

    assert 100 == caplog.text.count("stream_for failed for events of type type.")
