# Program: redis-py, asyncio
# Needs: pip redis==8.1.0
# Exercises: a task for each client: pipelines, publishers and subscribers, streams with a group and XAUTOCLAIM, limits by scripts, workers
import asyncio
import os

import redis.asyncio as redis
from redis.backoff import NoBackoff
from redis.asyncio.retry import Retry
from redis.exceptions import ResponseError

from ledger import Stream, serve

LIMIT = 5  # in each second
LIMITED = """
local window = 'limit:' .. KEYS[1] .. ':' .. redis.call('TIME')[1]
local count = redis.call('INCR', window)
if count == 1 then redis.call('EXPIRE', window, 3) end
return {window, count <= tonumber(ARGV[1]) and 1 or 0}
"""


class Client:
    sends = False
    pause = 0.1  # seconds between two turns, on average

    def __init__(self, round, name, number):
        self.round, self.name, self.number = round, name, number
        self.random = round.random(name)
        self.redis = redis.Redis(port=int(os.environ["PORT"]), protocol=2 + number % 2, decode_responses=True, retry=Retry(NoBackoff(), 0), socket_timeout=30)

    def lost(self):
        pass

    async def last(self):
        pass

    async def run(self):
        while self.goes_on():
            try:
                self.round.turns[self.name] += await self.turn() is not False
            except Exception as error:
                if self.round.failed(self.name, error):
                    self.lost()
                await asyncio.sleep(0.1)
            await asyncio.sleep(self.random.uniform(0, 2 * self.pause))
        await self.last()
        self.round.ended(self.sends)
        await self.redis.aclose()

    def goes_on(self):
        return self.round.goes_on(self.sends)


class Pipeline(Client):
    """Many commands at once, jobs for the workers among them."""

    sends = True
    pause = 0.2

    async def turn(self):
        jobs = [f"{self.name}:{self.round.turns[self.name]}:{n}" for n in range(5)]
        async with self.redis.pipeline(transaction=self.number % 3 == 0) as pipe:
            for n, job in enumerate(jobs):
                pipe.rpush("jobs", job).incrby("count:pipelines", n).hset(f"hash:{self.name}", f"field:{n}", job).zadd(f"board:{n}", {self.name: n})
            await pipe.execute()
        self.round.sent["jobs"] += jobs
        self.round.add("count:pipelines", sum(range(5)))


class Publisher(Client):
    sends = True

    def channel(self):
        return f"news:{self.number}"

    async def turn(self):
        await self.redis.publish(self.channel(), self.round.turns[self.name])

    async def last(self):
        if not self.round.interrupted:
            await self.redis.publish(self.channel(), "end")


class Subscriber(Client):
    pause = 0

    def __init__(self, *words):
        super().__init__(*words)
        self.stream = Stream(self.round, self.name)
        self.pubsub = None

    def lost(self):
        self.stream.lost()

    def goes_on(self):
        return self.stream.goes_on

    async def turn(self):
        if not self.pubsub:
            self.pubsub = self.redis.pubsub(ignore_subscribe_messages=True)
            await self.pubsub.psubscribe("news:*")
        message = await self.pubsub.get_message(timeout=1)
        if not message:
            return False
        self.stream.message(message["channel"], message["data"])

    async def last(self):
        if self.pubsub:
            await self.pubsub.aclose()


class Writer(Client):
    sends = True

    async def turn(self):
        entry = f"{self.name}:{self.round.turns[self.name]}"
        await self.redis.xadd("events", {"entry": entry, "padding": "x" * self.random.randrange(500)})
        self.round.sent["events"].append(entry)


class Consumer(Client):
    """Now and then one dies before it has said that it is done, and another
    one takes over what it has left."""

    pause = 0.02
    joined = False

    def lost(self):
        self.joined = False

    async def turn(self):
        if not self.joined:
            try:
                await self.redis.xgroup_create("events", "group", "0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
            self.joined = True
        left = []
        if self.random.random() < 0.2:
            left = (await self.redis.xautoclaim("events", "group", self.name, 1000, count=10))[1]
        new = await self.redis.xreadgroup("group", self.name, {"events": ">"}, count=5, block=500)
        # A list of streams, or a map, which is what RESP3 has.
        batches = [batch for stream in new.values() for batch in stream] if isinstance(new, dict) else [batch for _, batch in new]
        for id, fields in left + [entry for batch in batches for entry in batch]:
            if self.random.random() < 0.03:
                return await self.redis.connection_pool.disconnect()
            async with self.redis.pipeline() as pipe:
                acknowledged, _ = await pipe.xack("events", "group", id).xdel("events", id).execute()
            if acknowledged:
                self.round.got["events"].append(fields["entry"])


class Limited(Client):
    sends = True
    pause = 0.2

    async def turn(self):
        window, let_in = await self.redis.eval(LIMITED, 1, f"{self.number % 3}", LIMIT)
        self.round.asked(window, let_in)


class Worker(Client):
    pause = 0.01

    async def turn(self):
        if popped := await self.redis.brpop("jobs", 1):
            self.round.got["jobs"].append(popped[1])


async def main(round):
    counts = {Pipeline: 8, Publisher: round.publishers, Subscriber: 10, Writer: 4, Consumer: 10, Limited: 8, Worker: 8}
    clients = [kind(round, f"asyncio {kind.__name__} {n}", n) for kind, count in counts.items() for n in (range(count) if kind is Publisher else round.several(count))]
    for client in clients:
        round.started(client.name, client.sends)
    await asyncio.gather(*(client.run() for client in clients))


serve(lambda round: asyncio.run(main(round)))
