# Program: Tutorial: Flask and FastAPI
# Needs: pip redis==8.1.0 flask==3.1.3 fastapi==0.165.0 httpx==0.28.1
# Exercises: a page counter that waits for the server, sessions, a cached API with redis.asyncio, messages to WebSockets
#
"""The counter of hits that the page on Compose builds, and the API of those on
FastAPI."""
import asyncio
import json
import os
import time
from contextlib import asynccontextmanager

import flask
import redis
import redis.asyncio as aioredis
import servers
from checks import done, raises, same, until
from fastapi import Depends, FastAPI, HTTPException, WebSocket
from fastapi.testclient import TestClient
from redis.backoff import NoBackoff
from redis.retry import Retry


def hits():
    """A server that starts later than the application, and is started again under it."""
    server = servers.another()
    app = flask.Flask(__name__)

    @app.get("/")
    def hello():
        return f"Hello! I have been seen {hit_count()} times.\n"

    def hit_count():
        retries = 5
        while True:
            try:
                return cache.incr("hits")
            except redis.exceptions.ConnectionError:
                if retries == 0:
                    raise
                retries -= 1
                time.sleep(0.01)

    app.testing = True
    with server, app.test_client() as browser:
        cache = redis.Redis(host="localhost", port=server.port, retry=Retry(NoBackoff(), 0))
        same([browser.get("/").text for _ in range(2)], ["Hello! I have been seen 1 times.\n", "Hello! I have been seen 2 times.\n"])
        server.stop()
        raises(redis.exceptions.ConnectionError, lambda: browser.get("/"))
        server.start()
        same(browser.get("/").text, "Hello! I have been seen 1 times.\n")


def api():
    requests = []

    @asynccontextmanager
    async def lifespan(app):
        app.state.redis = aioredis.from_url(os.environ["REDIS_URL"], decode_responses=True, max_connections=20)
        await app.state.redis.ping()
        yield
        await app.state.redis.aclose()

    app = FastAPI(lifespan=lifespan)

    async def connection():
        return app.state.redis

    @app.get("/weather/{city}")
    async def weather(city: str, r=Depends(connection)):
        if cached := await r.get(f"weather:{city}"):
            return {**json.loads(cached), "source": "cache"}
        requests.append(city)
        data = {"city": city, "degrees": len(city)}
        await r.set(f"weather:{city}", json.dumps(data), ex=60)
        return {**data, "source": "api"}

    @app.delete("/weather")
    async def forget(r=Depends(connection)):
        keys = [key async for key in r.scan_iter("weather:*")]
        return {"forgotten": await r.unlink(*keys) if keys else 0}

    @app.post("/vote/{name}")
    async def vote(name: str, user: str, r=Depends(connection)):
        async with r.pipeline(transaction=True) as pipe:
            added, _ = await pipe.sadd(f"voted:{name}", user).expire(f"voted:{name}", 60).execute()
        if not added:
            raise HTTPException(409, "voted already")
        return {"votes": await r.zincrby("votes", 1, name)}

    @app.post("/say/{room}")
    async def say(room: str, text: str, r=Depends(connection)):
        return {"heard": await r.publish(f"room:{room}", text)}

    @app.websocket("/room/{room}")
    async def room(socket: WebSocket, room: str):
        await socket.accept()
        async with app.state.redis.pubsub() as pubsub:
            await pubsub.subscribe(f"room:{room}")
            async for message in pubsub.listen():
                await socket.send_text("ready" if message["type"] == "subscribe" else message["data"])
                if message["data"] == "bye":
                    return

    with TestClient(app) as browser:
        same([browser.get(f"/weather/{city}").json()["source"] for city in ("York", "York", "Bath", "York")], ["api", "cache", "api", "cache"])
        same(requests, ["York", "Bath"])
        same([browser.delete("/weather").json() for _ in range(2)], [{"forgotten": 2}, {"forgotten": 0}])
        same([browser.post("/vote/tea", params={"user": user}).status_code for user in ("ada", "ben", "ada")], [200, 200, 409])
        same(browser.post("/vote/tea", params={"user": "cy"}).json(), {"votes": 3.0})
        with browser.websocket_connect("/room/7") as one, browser.websocket_connect("/room/7") as two:
            same((one.receive_text(), two.receive_text()), ("ready", "ready"))
            same(browser.post("/say/7", params={"text": "hello"}).json(), {"heard": 2})
            same((one.receive_text(), two.receive_text()), ("hello", "hello"))
            browser.post("/say/7", params={"text": "bye"})
            same((one.receive_text(), two.receive_text()), ("bye", "bye"))
        until("nobody listens", lambda: browser.post("/say/7", params={"text": "x"}).json() == {"heard": 0})


async def many_at_once():
    """A hundred tasks with ten connections, a lock among them, and a time-out."""
    pool = aioredis.BlockingConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=10, decode_responses=True)
    async with aioredis.Redis(connection_pool=pool) as r:
        same(sorted(await asyncio.gather(*(r.incr("counter") for _ in range(100)))), list(range(1, 101)))
        inside = []

        async def careful():
            async with r.lock("one-at-a-time", timeout=10, sleep=0.005):
                inside.append(1)
                same(len(inside), 1)
                await asyncio.sleep(0)
                inside.pop()

        await asyncio.gather(*(careful() for _ in range(5)))
        waiting = asyncio.create_task(r.blpop("jobs", timeout=10))
        while not (await r.info("clients"))["blocked_clients"]:
            await asyncio.sleep(0.005)
        await r.lpush("jobs", "one")
        same(await waiting, ("jobs", "one"))
        try:
            async with asyncio.timeout(0.05):
                await r.blpop("jobs", timeout=10)
            raise AssertionError("something was in the queue")
        except TimeoutError:
            pass
        # The connection on which nobody waits any more is not used for anything else.
        same(await asyncio.gather(*(r.get("counter") for _ in range(20))), ["100"] * 20)
        # What comes in is taken by nobody who has left.
        while (await r.info("clients"))["blocked_clients"]:
            await asyncio.sleep(0.005)
        same((await r.lpush("jobs", "two"), await r.rpop("jobs")), (1, "two"))
    await pool.aclose()


hits()
api()
asyncio.run(many_at_once())
done()
