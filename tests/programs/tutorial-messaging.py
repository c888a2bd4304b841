# Program: Tutorial: publish/subscribe and events
# Needs: pip redis==8.1.0 python-dotenv==1.2.4
# Exercises: publisher and subscribers as processes, a password from `.env`, patterns, PUBLISH with XADD, a server restarted
#
"""Services that tell each other what happens, with the settings that they
share in a file .env beside them."""
import json
import os

import redis
import servers
from checks import done, raises, same, until
from listings import Process, listing, run
from redis.backoff import NoBackoff
from redis.retry import Retry

# Else it would come before what .env says.
del os.environ["REDIS_URL"]

listing("settings.py", """
    import os

    import redis
    from dotenv import load_dotenv

    load_dotenv()


    def connect():
        # Else the client gives up after five seconds in which nothing comes.
        return redis.from_url(os.getenv("REDIS_URL"), decode_responses=True, socket_timeout=30)


    def connect_with_parts():
        return redis.Redis(
            host=os.getenv("REDIS_HOST", "localhost"),
            port=int(os.getenv("REDIS_PORT", 6379)),
            password=os.getenv("REDIS_PASSWORD"),
            db=int(os.getenv("REDIS_DB", 0)),
            decode_responses=True,
        )
""")
listing("publisher.py", """
    import json
    import sys

    from settings import connect

    r = connect()
    channel, *messages = sys.argv[1:]
    for number, text in enumerate(messages, 1):
        receivers = r.publish(channel, json.dumps({"number": number, "text": text}))
        print(f"sent {text} to {receivers}")
""")
listing("subscriber.py", """
    import json
    import sys

    from settings import connect_with_parts

    pubsub = connect_with_parts().pubsub()
    pubsub.subscribe(*sys.argv[1:])
    for message in pubsub.listen():
        if message["type"] == "subscribe":
            print(f"listens to {message['channel']}")
        elif message["type"] == "message":
            data = json.loads(message["data"])
            print(f"{message['channel']}: {data['number']} {data['text']}")
            if data["text"] == "stop":
                break
""")
listing("watcher.py", """
    import sys

    from settings import connect

    with connect().pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.psubscribe(sys.argv[1])
        print("ready")
        while True:
            message = pubsub.get_message(timeout=1)
            if message:
                print(message["pattern"], message["channel"])
                if message["channel"].endswith("end"):
                    break
""")
# What keeps listening over a restart of the server.
listing("faithful.py", """
    import time

    import redis
    from settings import connect

    while True:
        try:
            pubsub = connect().pubsub()
            pubsub.subscribe("news")
            for message in pubsub.listen():
                if message["type"] == "subscribe":
                    print("listens")
                else:
                    print("got", message["data"])
        except redis.ConnectionError:
            print("lost the server")
            time.sleep(0.05)
""")
# An event is kept in a stream, and announced to those who are there.
listing("orders.py", """
    import json
    import sys

    from settings import connect

    r = connect()


    def emit(kind, **data):
        with r.pipeline(transaction=True) as pipe:
            pipe.xadd("events", {"type": kind, "data": json.dumps(data)}, maxlen=1000, approximate=True)
            pipe.publish(f"events:{kind}", json.dumps(data))
            return pipe.execute()


    for number in range(int(sys.argv[1]), int(sys.argv[2])):
        event, heard = emit("order.created", order=number, total=number * 10)
        if number % 2 == 0:
            emit("order.paid", order=number)
    print("done")
""")
# Who was away catches up in the stream, and goes on where it had stopped.
listing("invoices.py", """
    import json
    import sys

    from settings import connect

    r = connect()
    last = r.get("invoices:last") or "0"
    while r.hlen("invoices") < int(sys.argv[1]):
        for stream, entries in r.xread({"events": last}, count=10, block=10_000):
            for entry, fields in entries:
                if fields["type"] == "order.created":
                    data = json.loads(fields["data"])
                    r.hset("invoices", data["order"], data["total"])
                last = entry
        r.set("invoices:last", last)
    print("invoices up to date")
""")


def write_env(port, password, in_url):
    with open(".env", "w") as env:
        env.write(f"# Redis\nREDIS_HOST=localhost\nREDIS_PORT={port}\nREDIS_PASSWORD='{password}'\nREDIS_DB=0\n")
        env.write(f'export REDIS_URL="redis://:{in_url}@${{REDIS_HOST}}:${{REDIS_PORT}}/${{REDIS_DB}}"\n')


def publisher_and_subscribers(r):
    """The page's first example, in three terminals, and one that knows a pattern."""
    with Process("subscriber.py", "news") as one, Process("subscriber.py", "news", "weather") as two, Process("watcher.py", "w*") as all_w:
        one.until_shows("listens to news")
        two.until_shows("listens to weather")
        all_w.until_shows("ready")
        until("the pattern is known", lambda: r.pubsub_numpat() == 1)
        same(r.pubsub_numsub("news", "weather", "sport"), [("news", 2), ("weather", 1), ("sport", 0)])
        same(sorted(r.pubsub_channels()), ["news", "weather"])
        same(run("publisher.py", "weather", "rain"), "sent rain to 2\n")
        same(run("publisher.py", "news", "first", "stop"), "sent first to 2\nsent stop to 2\n")
        same(one.result(), "listens to news\nnews: 1 first\nnews: 2 stop\n")
        same(two.result(), "listens to news\nlistens to weather\nweather: 1 rain\nnews: 1 first\nnews: 2 stop\n")
        until("nobody listens any more", lambda: r.pubsub_numsub("news") == [("news", 0)])
        same(run("publisher.py", "news", "unheard"), "sent unheard to 0\n")
        r.publish("weather:end", "")
        same(all_w.result(), "ready\nw* weather\nw* weather:end\n")


def subscriber_killed(r):
    with Process("subscriber.py", "news") as subscriber:
        subscriber.until_shows("listens to news")
        same(r.publish("news", json.dumps({"number": 1, "text": "hi"})), 1)
        subscriber.until_shows("news: 1 hi")
        subscriber.kill()
    until("it is forgotten", lambda: r.publish("news", "x") == 0)


def in_a_thread(r):
    """A handler for each channel, in a thread of the client's."""
    heard = []
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(**{"orders": lambda message: heard.append(("orders", message["data"]))})
    pubsub.psubscribe(**{"alerts.*": lambda message: heard.append((message["channel"], message["data"]))})
    thread = pubsub.run_in_thread(sleep_time=0.01, daemon=True)
    until("both are heard", lambda: r.publish("orders", "one") and r.publish("alerts.disk", "full"))
    until("both are handled", lambda: ("orders", "one") in heard and ("alerts.disk", "full") in heard)
    thread.stop()
    thread.join()


def event_driven(r):
    with Process("watcher.py", "events:*") as mail:
        mail.until_shows("ready")
        until("the pattern is known", lambda: r.pubsub_numpat() == 1)
        same(run("orders.py", "1", "21"), "done\n")
        r.publish("events:end", "")
        lines = mail.result().splitlines()
        same((lines.count("events:* events:order.created"), lines.count("events:* events:order.paid")), (20, 10))
    same(r.xlen("events"), 30)
    # It was not there when the orders came, and stops half way.
    same(run("invoices.py", "20"), "invoices up to date\n")
    same(r.hgetall("invoices"), {str(n): str(n * 10) for n in range(1, 21)})
    with Process("invoices.py", "25") as invoices:
        until("it waits", lambda: r.info("clients")["blocked_clients"] == 1)
        same(run("orders.py", "21", "26"), "done\n")
        invoices.result()
    same((r.hlen("invoices"), r.get("invoices:last")), (25, r.xrevrange("events", count=1)[0][0]))
    # All that has happened, over again.
    kinds = [fields["type"] for _, fields in r.xrange("events")]
    same((kinds.count("order.created"), kinds.count("order.paid")), (25, 12))
    same((r.xtrim("events", maxlen=5, approximate=False), r.xlen("events")), (32, 5))


def wrong_passwords(server):
    # The client takes it for a failure of the network, and would try again for seconds.
    once = Retry(NoBackoff(), 0)
    connect = lambda **how: redis.Redis(host="localhost", port=server.port, retry=once, **how)
    same(str(raises(redis.AuthenticationError, connect(protocol=2).ping)), "Authentication required.")
    same("HELLO must be called with the client already authenticated" in str(raises(redis.AuthenticationError, connect().ping)), True)
    raises(redis.AuthenticationError, connect(password="wrong").ping)
    raises(redis.AuthenticationError, connect(password="wrong", protocol=2).ping)
    raises(redis.AuthenticationError, connect(username="nobody", password=PASSWORD).ping)
    same(connect(username="default", password=PASSWORD).ping(), True)
    same(connect(password=PASSWORD, protocol=2).ping(), True)


def server_restarted(server, r):
    with Process("faithful.py") as faithful:
        faithful.until_shows("listens")
        same(r.publish("news", "before"), 1)
        faithful.until_shows("got before")
        server.stop()
        faithful.until_shows("lost the server")
        server.start()
        until("it listens again", lambda: faithful.shows().count("listens") == 2)
        same(r.publish("news", "after"), 1)
        faithful.until_shows("got after")


PASSWORD = "s3cret-p@ss/word"
with servers.another("--requirepass", PASSWORD) as server:
    # In a URL, @ and / must be escaped.
    write_env(server.port, PASSWORD, "s3cret-p%40ss%2Fword")
    r = redis.from_url(f"redis://:s3cret-p%40ss%2Fword@localhost:{server.port}/0", decode_responses=True)
    wrong_passwords(server)
    publisher_and_subscribers(r)
    subscriber_killed(r)
    in_a_thread(r)
    event_driven(r)
    server_restarted(server, r)
done()
