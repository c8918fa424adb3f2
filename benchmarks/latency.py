"""How long an event needs to its handler, when 1000 of them come each second."""

import asyncio
import json
import time
from typing import Final

import msgspec
from redis.asyncio import Redis

from benchmarks.measure import (
    Figure,
    Results,
    Settings,
    alternate,
    result_of,
    start_job,
)
from benchmarks.servers import PrivateRedis

RATE: Final = 1000
LATER: Final = 1111111111.111111
"""Where the moment at which an event leaves goes; as long as such a moment."""


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """A publisher of its own process, the same for all; the consumer in another."""
    count = settings.count(10 * RATE)

    halves: dict[str, list[float]] = {"ours": [], "bare": [], "faststream_": []}

    def p99_of(contender: str) -> float:
        url = redis.empty()
        with (
            start_job(f"{contender}:latency", url=url, count=count) as consumer,
            start_job(
                "latency:feed", url=url, contender=contender, count=count
            ) as feeder,
        ):
            p50, p99 = result_of(consumer)
            result_of(feeder)
        halves[contender].append(p50 * 1000)
        return float(p99 * 1000)

    results = alternate(
        {
            "evmon": lambda: p99_of("ours"),
            "bare loop": lambda: p99_of("bare"),
            "FastStream": lambda: p99_of("faststream_"),
        },
        settings,
    )
    name = "p99 at 1000 events/s, evmon / FastStream"
    return [
        results.ratio(
            *("latency", "evmon", "FastStream"),
            name=name,
            at_least=False,
            bar=0.5,
            reach=0.25,
        ),
        results.ratio(
            *("latency", "bare loop", "FastStream"),
            name="p99 at 1000 events/s, bare loop / FastStream",
            at_least=False,
        ),
        results.ratio(
            *("latency", "evmon", "bare loop"),
            name="p99 at 1000 events/s, evmon / bare loop",
            at_least=False,
        ),
        Results({"evmon": halves["ours"], "FastStream": halves["faststream_"]}).ratio(
            *("latency", "evmon", "FastStream"),
            name="p50 at 1000 events/s, evmon / FastStream",
            at_least=False,
        ),
    ]


async def feed(url: str, contender: str, count: int) -> int:
    """Send events at a steady pace, each with the moment in it at which it leaves."""
    client = Redis.from_url(url)
    stream = await _awaited_stream(client)
    connection = await client.connection_pool.get_connection()
    started = time.perf_counter()
    sent = 0
    while sent < count:
        due = min(int((time.perf_counter() - started) * RATE), count)
        for _ in range(due - sent):
            name, value = (await _fields(contender, {"at": LATER})).popitem()
            before, _, after = value.partition(str(LATER).encode())
            now = f"{time.time():.6f}".encode()
            command = connection.pack_command(
                "XADD", stream, "*", name, before + now + after
            )
            await connection.send_packed_command(command)
            await connection.read_response()
        sent = due
        await asyncio.sleep(0.0005)
    await client.connection_pool.release(connection)
    await client.aclose()
    return sent


async def _awaited_stream(client: Redis) -> bytes:
    """The stream that the consumer reads, as soon as its group is there."""
    while True:
        for key in await client.keys():
            if await client.type(key) == b"stream" and await client.xinfo_groups(key):
                await asyncio.sleep(0.5)
                return key
        await asyncio.sleep(0.05)


async def _fields(contender: str, data: dict[str, float]) -> dict[str, bytes]:
    if contender == "bare":
        return {"event": msgspec.json.encode(data)}
    if contender == "ours":
        from benchmarks.ours import EVENT, encoded

        return {EVENT.decode(): encoded(data)}
    from benchmarks.faststream_ import message

    return await message(json.loads(json.dumps(data)))
