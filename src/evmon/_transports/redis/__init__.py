"""Redis Streams with consumer groups."""

from evmon._transports.redis.transport import RedisTransport

__all__ = ["RedisTransport"]
