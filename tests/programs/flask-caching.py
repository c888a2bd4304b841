# Program: Flask-Caching
# Needs: pip Flask-Caching==2.5.1 Flask-Session==0.8.0 flask==3.1.3 redis==8.1.0
# Exercises: cached views and functions, memoized ones with their versions, values and prefixes, sessions of Flask-Session, a server that was away
#
"""An application with a cache and, of Flask-Session, server-side sessions."""
import os

import redis
from flask import Flask, request, session
from flask_caching import Cache
from flask_session import Session

import servers
from checks import done, raises, same, until

URL = os.environ["REDIS_URL"]
calls = []


def called(name):
    """How often it has been, with this time."""
    calls.append(name)
    return f"{name}, call {calls.count(name)}"


def application(url, prefix):
    app = Flask("app")
    app.config.update(TESTING=True, SECRET_KEY="secret")
    cache = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": url, "CACHE_KEY_PREFIX": prefix, "CACHE_DEFAULT_TIMEOUT": 100})
    return app, cache


def values(cache, other, r):
    same((cache.set("a", {"n": (1, None)}), cache.get("a"), cache.has("a"), cache.get("none"), cache.add("a", 2), cache.add("b", 2)), (True, {"n": (1, None)}, True, None, False, True))
    same((cache.set("n", 5), cache.cache.inc("n"), cache.cache.inc("n", 4), cache.cache.dec("n", 2), cache.get("n")), (True, 6, 10, 8, 8))
    same((cache.set_many({"x": 1, "y": "two"}), cache.get_many("x", "none", "y"), cache.get_dict("x", "none")), (["x", "y"], [1, None, "two"], {"x": 1, "none": None}))
    same((cache.delete("x"), cache.delete("x"), cache.delete_many("b", "y"), cache.unlink("n"), cache.get("n")), (True, False, ["b", "y"], 1, None))
    same((0 < r.ttl("app:a") <= 100, cache.set("d", 1, timeout=1000), 100 < r.ttl("app:d") <= 1000, cache.set("e", 1, timeout=0), r.ttl("app:e")), (True, True, True, True, -1))
    cache.set("brief", 1, timeout=1)
    r.pexpire("app:brief", 20)
    until("a value expires", lambda: cache.get("brief") is None)
    # Clearing one leaves what another has in the same database.
    same((other.set("a", "stays"), cache.clear(), cache.get("a"), other.get("a"), r.keys()), (True, True, None, "stays", [b"other:a"]))
    # More than one SCAN answers.
    with r.pipeline() as pipe:
        for n in range(2000):
            pipe.set(f"app:{n}", n)
        pipe.execute()
    same((cache.clear(), r.keys()), (True, [b"other:a"]))


def views(app, cache, r):
    @app.get("/news")
    @cache.cached(timeout=50)
    def news():
        return called("news")

    @app.get("/search")
    @cache.cached(query_string=True)
    def search():
        return called(f"search {request.args['q']}")

    @app.route("/form", methods=["GET", "POST"])
    @cache.cached(key_prefix="form:%s", unless=lambda: "fresh" in request.args, response_filter=lambda response: "error" not in request.args)
    def form():
        return called("form")

    @cache.cached(key_prefix="menu")
    def menu():
        return [called("menu")]

    client = app.test_client()
    get = lambda url: client.get(url).text
    same(([get("/news") for _ in range(3)], 0 < r.ttl("app:view//news") <= 50), (["news, call 1"] * 3, True))
    same((cache.delete("view//news"), get("/news")), (True, "news, call 2"))
    same([get(url) for url in ("/search?q=a&p=1", "/search?p=1&q=a", "/search?q=b")], ["search a, call 1"] * 2 + ["search b, call 1"])
    same([get(url) for url in ("/form?error", "/form", "/form?fresh", "/form")], ["form, call 1", "form, call 2", "form, call 3", "form, call 2"])
    with app.test_request_context():
        same((menu(), menu(), cache.get("menu"), cache.delete_cached(menu), menu()), (["menu, call 1"], ["menu, call 1"], ["menu, call 1"], True, ["menu, call 2"]))


def functions(app, cache):
    class Shop:
        def __init__(self, name):
            self.name = name

        def __repr__(self):
            return f"Shop({self.name})"

        @cache.memoize(50)
        def price(self, item):
            return called(f"{self.name} {item}")

    @cache.memoize(50)
    def add(a, b=0):
        called(f"add {a} {b}")
        return a + b

    with app.app_context():
        same(([add(1, 2), add(1, b=2), add(b=2, a=1), add(1)], [call for call in calls if "add" in call]), ([3, 3, 3, 1], ["add 1 2", "add 1 0"]))
        cache.delete_memoized(add, 1, 2)
        same((add(1, 2), add(1), calls.count("add 1 2"), calls.count("add 1 0")), (3, 1, 2, 1))
        cache.delete_memoized(add)
        same((add(1, 2), add(1), calls.count("add 1 2"), calls.count("add 1 0")), (3, 1, 3, 2))
        cache.delete_memoized_verhash(add)
        same((add(1), calls.count("add 1 0"), add.uncached(1), calls.count("add 1 0")), (1, 3, 1, 4))
        near, far = Shop("near"), Shop("far")
        same([near.price("tea"), near.price("tea"), far.price("tea")], ["near tea, call 1"] * 2 + ["far tea, call 1"])
        cache.delete_memoized(near.price)
        same([near.price("tea"), far.price("tea")], ["near tea, call 2", "far tea, call 1"])


def sessions(r):
    app, _ = application(URL, "app:")
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=r, SESSION_USE_SIGNER=False, PERMANENT_SESSION_LIFETIME=500)
    Session(app)

    @app.post("/cart/<item>")
    def buy(item):
        session["cart"] = [*session.get("cart", []), item]
        return ", ".join(session["cart"])

    @app.post("/leave")
    def leave():
        session.clear()
        return "bye"

    ann, bob = app.test_client(), app.test_client()
    same([client.post(f"/cart/{item}").text for client, item in ((ann, "tea"), (bob, "milk"), (ann, "cake"))], ["tea", "milk", "tea, cake"])
    key = f"session:{ann.get_cookie('session').value}"
    same((len(r.keys("session:*")), 0 < r.ttl(key) <= 500), (2, True))
    same((ann.post("/leave").text, r.exists(key), ann.post("/cart/jam").text, bob.post("/cart/jam").text), ("bye", 0, "jam", "milk, jam"))
    r.delete(*r.keys("session:*"))
    same(bob.post("/cart/tea").text, "tea")


def restart():
    with servers.another("--requirepass", "secret") as server:
        app, cache = application(f"redis://:secret@127.0.0.1:{server.port}/2", "app:")

        @app.get("/")
        @cache.cached()
        def index():
            return called("index")

        client = app.test_client()
        with app.app_context():
            same((client.get("/").text, client.get("/").text, cache.set("a", 1)), ("index, call 1", "index, call 1", True))
            server.stop()
            raises(redis.ConnectionError, lambda: cache.get("a"))
            # In production the view is made, and an error logged.
            app.debug = app.testing = False
            same(client.get("/").text, "index, call 2")
            server.start()
            same((client.get("/").text, client.get("/").text, cache.get("a")), ("index, call 3", "index, call 3", None))


app, cache = application(URL, "app:")
other_app, other = application(URL, "other:")
with redis.Redis.from_url(URL) as r:
    with app.app_context():
        values(cache, other_app.extensions["cache"][other], r)
    views(app, cache, r)
    functions(app, cache)
    sessions(r)
restart()
done()
