"""Writes ``data.json``: what a version of evmon leaves in Redis.

It was run with the last version before handlers had attempts of their own, against an
empty Redis server:

    git worktree add --detach earlier 215a84a
    PYTHONPATH=earlier/src python -m tests.transports.redis.earlier.write \
        redis://127.0.0.1:6399/0 > tests/transports/redis/earlier/data.json
"""

import asyncio
import json
import subprocess
import sys
import time

import msgspec
import redis
from tests.transports.redis.earlier import shop

from evmon import ConsumerConfig, RedisConfig

try:
    from evmon._transports.redis.dead_letters import DeadLetterQueue
except ImportError:
    from evmon._transports.redis.queue import DeadLetterQueue

STREAM = "evmon:{shop}:events"
DEAD = "evmon:{shop}:dead"
RETRY = "evmon:{shop}:retry"


def text(value):
    return value.decode(errors="surrogateescape")


def pairs(fields):
    return {text(name): text(value) for name, value in fields.items()}


def event(event_id, event_type, data):
    attributes = {
        "specversion": "1.0",
        "source": "shop",
        "time": "2026-11-26T10:00:00Z",
    }
    own = {"id": event_id, "type": event_type, "data": data}
    return json.dumps(attributes | own).encode()


class Writer:
    """Makes a service fail in every way that leaves something in Redis."""

    def __init__(self, url):
        self.url = url
        self.client = redis.Redis.from_url(url)

    async def write(self):
        await self.fail()
        await self.replay("replayed-in-vain")
        await self.run(ConsumerConfig(), until=lambda: self.client.xlen(DEAD) == 14)
        for name in ("held-by-count-1", "held-by-count-2"):
            self.add(name, "stock.changed", count="hang")
        self.add("held-by-created", "order.created", created="hang")
        self.kill_a_consumer_that_holds(3)
        await self.replay("replayed")
        await self.replay("replayed-in-toys")
        self.add("unread", "order.created")
        raw = event("of-another-program", "order.created", {})
        self.client.xadd(STREAM, {"event": raw, "by": "cron"})

    def add(self, event_id, event_type, **data):
        self.client.xadd(STREAM, {"event": event(event_id, event_type, data)})

    async def fail(self):
        self.add("kills-consumers", "order.created", created="hang")
        self.kill_a_consumer_that_holds(1)
        self.add("succeeds", "order.created")
        self.add("later", "order.created", created="later")
        self.add("later-in-books", "book.bought", Books="later")
        self.add("later-in-toys", "book.bought", Toys="later")
        self.add("later-in-both", "book.bought", Books="later", Toys="later")
        self.add("error", "order.created", charge="error")
        self.add("rejected", "order.created", charge="reject")
        self.add("rejected-in-books", "book.bought", Books="reject")
        self.add("error-in-toys", "book.bought", Toys="error")
        self.add("both-differ", "order.created", created="reject", charge="error")
        self.add("one-of-each", "order.created", created="later", charge="error")
        self.add("error-in-count", "stock.changed", count="error")
        self.add("succeeds-in-count", "stock.changed")
        self.add("unknown", "weather.changed")
        self.client.xadd(STREAM, {"event": b"\xff\x00 no event"})
        self.client.xadd(STREAM, {"hello": "world"})
        self.add("replayed", "order.created", charge="error")
        self.add("replayed-in-toys", "book.bought", Toys="error")
        self.add("replayed-in-vain", "order.created", charge="error")
        consumer = ConsumerConfig(max_deliveries=1)
        await self.run(consumer, until=lambda: self.client.xlen(DEAD) == 14)

    async def run(self, consumer, until):
        bus = shop.service(self.url, consumer=consumer, redis=RedisConfig(lease=0.2))
        async with bus, asyncio.timeout(20):
            while not until() or self.client.xpending(STREAM, "shop")["pending"]:
                await asyncio.sleep(0.01)

    async def replay(self, event_id):
        queue = DeadLetterQueue(self.url, "shop", RedisConfig())
        async for letter in queue.letters():
            if letter.facts["event_id"] == event_id:
                await queue.replay(letter)
        await queue.close()

    def kill_a_consumer_that_holds(self, count):
        command = [sys.executable, "-m", __spec__.name, self.url, "hold"]
        with subprocess.Popen(command) as process:
            while self.pending() < count:
                time.sleep(0.01)
            process.kill()

    def pending(self):
        try:
            return self.client.xpending(STREAM, "shop")["pending"]
        except redis.ResponseError:  # no group yet
            return 0

    def dump(self):
        """All that the service left, as JSON for a person to read."""
        (group,) = self.client.xinfo_groups(STREAM)
        return {
            STREAM: self.entries(STREAM),
            "last-delivered-id": text(group["last-delivered-id"]),
            "entries-read": group["entries-read"],
            "pending": {
                text(row["message_id"]): text(row["consumer"])
                for row in self.client.xpending_range(STREAM, "shop", "-", "+", 100)
            },
            DEAD: self.entries(DEAD),
            RETRY: [
                {"member": text(member), **self.scheduled(member)}
                for member in self.client.zrange(RETRY, 0, -1)
            ],
        }

    def entries(self, stream):
        return {text(key): pairs(fields) for key, fields in self.client.xrange(stream)}

    def scheduled(self, member):
        packed = self.client.hget(f"{RETRY}:entries", member)
        stream, fields = msgspec.msgpack.decode(packed)
        return {"stream": stream, "fields": fields}


async def hold(url):
    async with shop.service(url, redis=RedisConfig(lease=0.2)):
        await asyncio.sleep(3600)


async def main():
    url = sys.argv[1]
    if sys.argv[2:] == ["hold"]:
        await hold(url)
    writer = Writer(url)
    await writer.write()
    json.dump(writer.dump(), sys.stdout, indent=1)


if __name__ == "__main__":
    asyncio.run(main())
