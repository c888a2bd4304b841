import asyncio
import re
import threading

import pytest


def test_each_wait_is_for_what_it_says(respd):
    client, other = respd.client(), respd.client(db=3, client_name="worker")
    client.xadd("stream", {"a": 1})
    client.xgroup_create("stream", "workers", 0)
    client.xreadgroup("workers", "ann", {"stream": ">"})
    other.set("key", 1)
    listener = client.pubsub()
    listener.subscribe("news")
    listener.psubscribe("n*")
    listener.ssubscribe("shard")
    respd.until.subscribers("news", 1)
    respd.until.pattern_subscribers("n*", 1)
    respd.until.shard_subscribers("shard", 1)
    respd.until.blocked("jobs", 0)
    respd.until.exists("key", db=3)
    respd.until.gone("key")
    respd.until.length("stream", 1)
    respd.until.pending("stream", "workers", 1)
    respd.until.clients(3)
    respd.until.sent("worker", "set", times=1)
    respd.until.read("worker")


def test_what_does_not_come_says_what_there_is_instead(respd):
    with pytest.raises(TimeoutError, match=re.escape("waited 0 s for the key 'k'; it is not there; keys: none")):
        respd.until.exists("k", within=0)


def test_a_wait_holds_up_nobody_else(respd):
    waiting = threading.Thread(target=respd.until.exists, args=["key"])
    waiting.start()
    respd.until.clients(2)
    respd.client().set("key", 1)
    waiting.join(60)
    assert not waiting.is_alive()


def test_an_async_client_and_a_wait(respd):
    import redis.asyncio

    async def both():
        async with redis.asyncio.Redis.from_url(respd.url) as client:
            heard = asyncio.create_task(client.blpop("jobs"))
            await asyncio.to_thread(respd.until.blocked, "jobs", 1)
            respd.client().rpush("jobs", "one")
            assert await heard == (b"jobs", b"one")

    asyncio.run(asyncio.wait_for(both(), 60))
