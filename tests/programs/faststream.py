# Program: FastStream
# Needs: pip faststream[redis,cli]==0.7.8 redis==8.1.0
# Exercises: channels and patterns, lists and batches, streams with consumer groups, acknowledgement, claimed messages of a killed consumer, replies, publishing in pipelines, broken connections, a restart of the server
#
"""FastStream's Redis broker: applications in processes of their own, and a
client that publishes."""
import asyncio
import os
import sys
from typing import Annotated

import redis
from faststream import AckPolicy, FastStream, Header, Path
from faststream.redis import ListSub, PubSub, RedisBroker, RedisStreamMessage, StreamSub
from faststream.redis.subscriber.usecases import basic, stream_subscriber
from pydantic import BaseModel

import servers
from checks import done, same, until
from workers import Worker, module

if __name__ == "__main__":
    sys.exit(module("tasks").main())

url = f"{os.environ['REDIS_URL']}/0"
name = os.environ.get("CONSUMER", "client")
r = redis.Redis.from_url(url, decode_responses=True)
raw = redis.Redis.from_url(url)
broker_url = f"{os.environ.get('BROKER', url)}?client_name={name}"
broker = RedisBroker(broker_url)
app = FastStream(broker)
# What runs in another process: one consumer of a group, with nothing else.
groups = RedisBroker(broker_url)
member = FastStream(groups)
# What outlives the server.
patient = RedisBroker(broker_url)
survivor = FastStream(patient)
# How long it waits after an error: it would be five seconds.
basic.CONSUME_ERROR_BACKOFF_SECONDS = stream_subscriber.CONSUME_ERROR_BACKOFF_SECONDS = 0.05


class Order(BaseModel):
    id: int
    item: str = "none"


def seen(*what):
    r.rpush("seen:" + what[0], " ".join(map(str, what[1:])))


def expect(what, *expected):
    until(f"{what}: {expected}", lambda: r.lrange(f"seen:{what}", 0, -1) == list(expected))
    same(r.lrange(f"seen:{what}", 0, -1), list(expected))


@broker.subscriber("orders")
@broker.publisher("confirmed")
async def on_order(order: Order, source: Annotated[str, Header()] = "nowhere"):
    seen("orders", order.id, order.item, source)
    return {"id": order.id + 1000}


@broker.subscriber("confirmed")
async def on_confirmed(order: dict):
    seen("confirmed", order["id"])


@broker.subscriber(PubSub("logs.{level}"))
async def on_log(text: str, level: str = Path()):
    seen("logs", level, text)


@broker.subscriber("double")
async def double(n: int):
    return 2 * n


@broker.subscriber(list="jobs")
@broker.publisher(list="finished")
async def on_job(n: int):
    seen("jobs", n)
    return n * n


@broker.subscriber(list=ListSub("batches", batch=True, max_records=4))
async def on_batch(numbers: list[int]):
    seen("batches", *numbers)


@broker.subscriber(stream=StreamSub("events", last_id="0", polling_interval=10))
@broker.publisher(stream=StreamSub("derived", maxlen=2))
async def on_event(text: str):
    seen("events", text)
    return text.upper()


@broker.subscriber(stream=StreamSub("many", last_id="0", polling_interval=10, batch=True, max_records=3))
async def on_many(numbers: list[int]):
    for n in numbers:
        seen("many", n)


@broker.subscriber(stream=StreamSub("checked", group="checkers", consumer="one", polling_interval=10), ack_policy=AckPolicy.MANUAL)
async def on_checked(n: int, message: RedisStreamMessage):
    seen("checked", n)
    if n % 2:
        await message.ack()


@broker.subscriber(stream=StreamSub("checked", group="checkers", consumer="two", polling_interval=10, min_idle_time=50))
async def on_claimed(n: int, message: RedisStreamMessage):
    seen("claimed", n, await message.get_delivery_count() > 1)


@groups.subscriber(
    stream=StreamSub("work", group="workers", consumer=name, polling_interval=10, min_idle_time=int(os.environ.get("CLAIM", 0)) or None),
    ack_policy=AckPolicy.NACK_ON_ERROR,
)
async def on_work(n: int):
    r.sadd(f"members:{n}", name)
    # Stays until it is killed, the first time.
    if n == 0 and r.incr("stays") == 1:
        await asyncio.sleep(60)
    if n < 0:
        raise ValueError("not this one")
    seen("work", n)


@patient.subscriber("calls")
async def on_call(text: str):
    seen("calls", text)


@patient.subscriber(list="tasks")
async def on_task(text: str):
    seen("tasks", text)


@patient.subscriber(stream=StreamSub("entries", last_id="0", polling_interval=10))
async def on_entry(text: str):
    seen("entries", text)


def application(of, **environment):
    return Worker("faststream", "run", f"tasks:{of}", "--log-level", "critical", **environment)


async def channels():
    same(await broker.publish({"id": 1, "item": "tea"}, "orders", headers={"source": "shop"}), 1)
    expect("orders", "1 tea shop")
    expect("confirmed", "1001")
    # What is no order gets nowhere.
    await broker.publish({"id": "none"}, "orders")
    await broker.publish(Order(id=2), "orders")
    expect("orders", "1 tea shop", "2 none nowhere")
    await broker.publish("disk full", "logs.error")
    await broker.publish("all well", "logs.info")
    expect("logs", "error disk full", "info all well")
    same([await (await broker.request(n, "double", timeout=60)).decode() for n in (4, 5)], [8, 10])
    async with broker._connection.pipeline() as pipe:
        for n in (1, 2, 3):
            await broker.publish(n, list="jobs", pipeline=pipe)
        same((r.exists("jobs"), await pipe.execute()), (0, [1, 2, 3]))


async def lists():
    expect("jobs", "1", "2", "3")
    until("the results are there", lambda: r.llen("finished") == 3)
    await broker.publish(9, list="finished")
    same(r.llen("finished"), 4)
    await broker.publish_batch(*range(1, 9), list="batches")
    expect("batches", "1 2 3 4", "5 6 7 8")


async def streams():
    for text in ("one", "two", "three"):
        await broker.publish(text, stream="events")
    expect("events", "one", "two", "three")
    until("the last is derived", lambda: "THREE" in str(raw.xrevrange("derived", count=1)))
    # The limit that it sends is an approximate one.
    same((r.xlen("events"), r.xlen("derived")), (3, 3))
    for n in range(7):
        await broker.publish(n, stream="many", maxlen=100)
    expect("many", *map(str, range(7)))
    # Who acknowledges half of them leaves the others to who claims.
    for n in range(1, 5):
        await broker.publish(n, stream="checked")
    expect("checked", "1", "2", "3", "4")
    until("all are acknowledged", lambda: r.xpending("checked", "checkers")["pending"] == 0)
    same({"2 True", "4 True"} <= set(r.lrange("seen:claimed", 0, -1)), True)


async def broken():
    """The server closes all connections of the application."""
    theirs = [client["id"] for client in r.client_list() if client["name"] == "app"]
    same([r.client_kill_filter(_id=client) for client in theirs], [1] * len(theirs))
    until("they are back", lambda: r.pubsub_numsub("orders")[0][1] == 1 and r.pubsub_numpat() == 1)
    await broker.publish(Order(id=3), "orders")
    until("the order was seen", lambda: r.lindex("seen:orders", -1) == "3 none nowhere")
    await broker.publish(4, list="jobs")
    until("the job was done", lambda: r.lindex("seen:jobs", -1) == "4")
    await broker.publish("four", stream="events")
    until("the event was seen", lambda: r.lindex("seen:events", -1) == "four")


async def members():
    """Two consumers of a group: each message once. One that fails stays
    pending, as does what a consumer was at that is killed; a third claims them."""
    with application("member", CONSUMER="a") as a, application("member", CONSUMER="b") as b:
        until("both are there", lambda: {client["name"] for client in r.client_list() if client["cmd"] == "xreadgroup"} == {"a", "b"})
        await asyncio.gather(*(broker.publish(n, stream="work") for n in range(1, 21)))
        until("all were seen", lambda: r.llen("seen:work") == 20)
        same(sorted(map(int, r.lrange("seen:work", 0, -1))), list(range(1, 21)))
        await broker.publish(-1, stream="work")
        until("it failed", lambda: r.exists("members:-1"))
        await broker.publish(0, stream="work")
        until("one is at it", lambda: r.get("stays") == "1")
        {"a": a, "b": b}[r.srandmember("members:0")].kill()
        same(r.xpending("work", "workers")["pending"], 2)
    with application("member", CONSUMER="c", CLAIM="1"):
        until("it is taken up", lambda: r.lindex("seen:work", -1) == "0")
        until("only the bad one is left", lambda: r.xpending("work", "workers")["pending"] == 1)
        same([c["name"] for c in r.xpending("work", "workers")["consumers"]], ["c"])
        same(r.xpending_range("work", "workers", "-", "+", 1)[0]["times_delivered"] > 1, True)


async def restart(server):
    """The server is away for a moment, and has forgotten all when it is back.
    With it go the groups of streams: who reads one ends, to be started again."""
    store = redis.Redis.from_url(server.url)
    listening = lambda: store.pubsub_numsub("calls")[0][1] == 1

    async def send(text, *before):
        until("it listens", listening)
        # A connection that the server has closed is an error for who publishes next.
        async with RedisBroker(server.url) as sender:
            same(await sender.publish(text, "calls"), 1)
            await sender.publish(text, list="tasks")
            await sender.publish(text, stream="entries")
        for where in ("calls", "tasks", "entries"):
            expect(where, *before, text)

    with application("survivor", BROKER=server.url) as one, application("member", BROKER=server.url) as two:
        await send("before")
        until("the group is there", lambda: store.exists("work"))
        server.stop()
        server.start()
        same(two.process.wait(60), 0)
        with application("member", BROKER=server.url):
            until("the group is there again", lambda: store.exists("work"))
            async with RedisBroker(server.url) as sender:
                await sender.publish(100, stream="work")
            until("it was seen", lambda: r.lindex("seen:work", -1) == "100")
        await send("after", "before")
        same(one.stop(), 0)


async def client():
    await broker.connect()
    with application("app", CONSUMER="app") as one:
        until("it listens", lambda: [n for _, n in r.pubsub_numsub("orders", "confirmed", "double")] == [1, 1, 1] and r.pubsub_numpat() == 1)
        await channels()
        await lists()
        await streams()
        await broken()
        same(one.stop(), 0)
    same((r.pubsub_channels(), r.pubsub_numpat()), ([], 0))
    await members()
    await broker.stop()
    with servers.another() as server:
        await restart(server)


def main():
    asyncio.run(client())
    done()
