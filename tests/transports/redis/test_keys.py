"""Names of keys."""

from evmon._transports.redis.keys import Keys


def test_all_keys_of_a_service_share_a_hash_tag_and_differ():
    keys = Keys("shop")
    names = [keys.dead, keys.retry, keys.retry_entries, keys.runs]
    names += [keys.stream(), keys.stream("x"), keys.producer("p")]
    names += [keys.trimmed("c"), keys.reclaimed("c")]

    assert {"evmon:{shop}"} == {name[:12] for name in names}
    assert len(names) == len(set(names))
