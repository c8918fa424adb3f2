"""Latency from sending to handling at 1000 events per second."""

import asyncio
import time
from typing import Final

import msgspec
from redis.asyncio import Redis

from benchmarks.figures import Figure, Results, Settings, alternate
from benchmarks.job import result_of, start_job
from benchmarks.redis_server import PrivateRedis

RATE: Final = 1000
PLACEHOLDER: Final = 1111111111.111111
"""Replaced by the time of sending, which has as many digits."""
_MODULES: Final = {
    "evmon": "evmon",
    "bare loop": "redis_py",
    "FastStream": "faststream",
}


def measure(settings: Settings, redis: PrivateRedis) -> list[Figure]:
    """Compare consumers in one process with the same publisher in another."""
    count = settings.count(10 * RATE)
    medians: dict[str, list[float]] = {name: [] for name in _MODULES}

    def p99_of(name: str) -> float:
        url = redis.empty()
        module = _MODULES[name]
        with (
            start_job(f"contenders.{module}:latency", url=url, count=count) as consumer,
            start_job("latency:feed", url=url, module=module, count=count) as feeder,
        ):
            p50, p99 = result_of(consumer)
            result_of(feeder)
        medians[name].append(p50 * 1000)
        return float(p99 * 1000)

    contenders = {name: lambda name=name: p99_of(name) for name in _MODULES}
    p99s = alternate("latency", contenders, settings)
    return [
        _ratio(p99s, "p99", "evmon", "FastStream", bar=0.5, reach=0.25),
        _ratio(p99s, "p99", "bare loop", "FastStream"),
        _ratio(p99s, "p99", "evmon", "bare loop"),
        _ratio(Results("latency", medians), "p50", "evmon", "FastStream"),
    ]


def _ratio(
    results: Results, what: str, contender: str, baseline: str, **limits: float
) -> Figure:
    name = f"{what} at {RATE} events/s, {contender} / {baseline}"
    return results.ratio(contender, baseline, name=name, at_least=False, **limits)


async def feed(url: str, module: str, count: int) -> int:
    """Send events at a constant rate, each with the time of sending in its data.

    Args:
        url: URL of the server.
        module: module of the contender that consumes them.
        count: number of events.
    """
    client = Redis.from_url(url)
    stream = await _wait_for_stream(client)

    connection = await client.connection_pool.get_connection()
    started = time.perf_counter()
    sent = 0
    while sent < count:
        due = min(int((time.perf_counter() - started) * RATE), count)
        for _ in range(due - sent):
            name, value = await _entry_field(module, {"at": PLACEHOLDER})
            before, _, after = value.partition(str(PLACEHOLDER).encode())
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


async def _wait_for_stream(client: Redis) -> bytes:
    """Wait until a stream has a consumer group; returns the stream."""
    while True:
        for key in await client.keys():
            if await client.type(key) == b"stream" and await client.xinfo_groups(key):
                await asyncio.sleep(0.5)
                return key
        await asyncio.sleep(0.05)


async def _entry_field(module: str, data: dict[str, float]) -> tuple[str, bytes]:
    """Name and value of the field that a contender stores an event in."""
    if module == "redis_py":
        return "event", msgspec.json.encode(data)
    if module == "evmon":
        from benchmarks.contenders.evmon import EVENT, encoded_event

        return EVENT.decode(), encoded_event(data)
    from benchmarks.contenders.faststream import entry_fields

    [(name, value)] = (await entry_fields(data)).items()
    return name, value
