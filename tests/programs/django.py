# Program: Django
# Needs: pip django==5.2.19 django-redis==7.0.0 redis==8.1.0
# Exercises: its own Redis cache and django-redis: versions, cached views, pages and fragments, sessions with logins, patterns and locks, a server that was away
#
"""One site, once with each of the two backends."""
import os
import threading

import django
from django.conf import settings

import servers
from checks import done, raises, same, until

PORT = int(os.environ["PORT"])
BACKENDS = {"own": "django.core.cache.backends.redis.RedisCache", "django-redis": "django_redis.cache.RedisCache"}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}


def add_cache(name, kind, url, **options):
    CACHES[name] = {"BACKEND": BACKENDS[kind], "LOCATION": url, **options}


for db, kind in enumerate(BACKENDS):
    url = f"redis://127.0.0.1:{PORT}/{db}"
    add_cache(kind, kind, url, KEY_PREFIX="site")
    add_cache(f"{kind} newer", kind, url, KEY_PREFIX="site", VERSION=2)
    add_cache(f"{kind} other", kind, url, KEY_PREFIX="other", TIMEOUT=100)
squeezed = {"COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor", "SERIALIZER": "django_redis.serializers.json.JSONSerializer"}
add_cache("squeezed", "django-redis", f"redis://127.0.0.1:{PORT}/3", OPTIONS=squeezed)

settings.configure(
    SECRET_KEY="secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    CACHES=CACHES,
    # The others take seconds, which is what they are for.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()

import redis
from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.models import User
from django.core.cache import caches
from django.core.management import call_command
from django.http import HttpResponse
from django.template import Context, Template
from django.test import Client, override_settings
from django.urls import path
from django.views.decorators.cache import cache_page
from django_redis import get_redis_connection

views = []


def page(request, name):
    views.append(name)
    return HttpResponse(f"{name}, seen {views.count(name)} times")


def enter(request):
    user = authenticate(request, username=request.POST["name"], password=request.POST["password"])
    if user is None:
        return HttpResponse("who are you?", status=403)
    login(request, user)
    request.session["cart"] = []
    return HttpResponse("come in")


def buy(request, item):
    if not request.user.is_authenticated:
        return HttpResponse("who are you?", status=403)
    request.session["cart"] = [*request.session["cart"], item]
    return HttpResponse(f"{request.user.username} has {', '.join(request.session['cart'])}")


def leave(request):
    logout(request)
    return HttpResponse("bye")


urlpatterns = [path("page/<name>", page), path("enter", enter), path("buy/<item>", buy), path("leave", leave)]
urlpatterns += [path(f"cached/{kind}/<name>", cache_page(100, cache=kind, key_prefix="views")(page)) for kind in BACKENDS]


def values(kind, r):
    cache, newer, other = caches[kind], caches[f"{kind} newer"], caches[f"{kind} other"]
    cache.set("a", {"n": [1, None]})
    same((cache.get("a"), "a" in cache, cache.has_key("b"), cache.get("b"), cache.get("b", 7)), ({"n": [1, None]}, True, False, None, 7))
    same((cache.add("a", 2), cache.add("b", 2), cache.get("b"), other.get("b")), (False, True, 2, None))
    same((cache.get_or_set("c", lambda: 3), cache.get_or_set("c", lambda: 4), cache.get_or_set("d", 5, 100)), (3, 3, 5))
    cache.set("n", 10)
    same((cache.incr("n"), cache.incr("n", 5), cache.decr("n", 6), cache.get("n")), (11, 16, 10, 10))
    raises(ValueError, lambda: cache.incr("nope"))
    cache.set_many({"x": 1, "y": "two", "z": b"3"})
    same(cache.get_many(["x", "nope", "y", "z"]), {"x": 1, "y": "two", "z": b"3"})
    cache.delete_many(["x", "y"])
    same((bool(cache.delete("z")), bool(cache.delete("z")), cache.get_many(["x", "y", "z"])), (True, False, {}))
    # Times: none, some, those that pass, and those that are over.
    ttl = lambda key: r.ttl(cache.make_key(key))
    same((0 < ttl("a") <= 300, 0 < ttl("d") <= 100, cache.touch("d", 1000), 100 < ttl("d") <= 1000, cache.touch("d", None), ttl("d")), (True, True, True, True, True, -1))
    other.set("a", 1)
    same((cache.touch("nope"), 0 < r.ttl("other:1:a") <= 100), (False, True))
    cache.set("brief", 1, timeout=1)
    r.pexpire(cache.make_key("brief"), 20)
    until("a value expires", lambda: cache.get("brief") is None)
    cache.set("d", 6, timeout=0)
    same(cache.get("d"), None)
    # A value of one version is not there for another.
    newer.set("a", "new")
    same((cache.get("a"), newer.get("a"), cache.get("a", version=2), newer.get("a", version=1)), ({"n": [1, None]}, "new", "new", {"n": [1, None]}))
    same((cache.incr_version("b"), cache.get("b"), newer.get("b"), newer.decr_version("b"), cache.get("b")), (2, None, 2, 1, 2))
    same(sorted(r.keys()), sorted([b"site:1:a", b"site:1:b", b"site:1:c", b"site:1:n", b"site:2:a", b"other:1:a"]))
    cache.clear()
    same(r.dbsize(), 0)


def pages(kind):
    """Views, whole sites and parts of templates that are made once."""
    cache, client = caches[kind], Client()
    get = lambda url, **options: client.get(url, **options).content.decode()
    del views[:]
    same([get(f"/cached/{kind}/news") for _ in range(3)], ["news, seen 1 times"] * 3)
    same((get(f"/cached/{kind}/news?page=2"), get(f"/cached/{kind}/blog"), get("/page/news")), ("news, seen 2 times", "blog, seen 1 times", "news, seen 3 times"))
    response = client.get(f"/cached/{kind}/news")
    same((response["Cache-Control"], "Expires" in response), ("max-age=100", True))
    cache.clear()
    same(get(f"/cached/{kind}/news"), "news, seen 4 times")
    middleware = [f"django.middleware.cache.{name}CacheMiddleware" for name in ("Update", "FetchFrom")]
    with override_settings(MIDDLEWARE=middleware, CACHE_MIDDLEWARE_ALIAS=kind, CACHE_MIDDLEWARE_SECONDS=100):
        client = Client()
        same([get("/page/whole"), get("/page/whole"), get("/page/whole?b"), get("/page/whole?b")], ["whole, seen 1 times"] * 2 + ["whole, seen 2 times"] * 2)
        same(client.post("/page/whole").content, b"whole, seen 3 times")
    template = Template('{% load cache %}{% cache 100 side user using="' + kind + '" %}{{ make }}{% endcache %}')
    made = []
    make = lambda: made.append(1) or f"made {len(made)}"
    same([template.render(Context({"make": make, "user": user})) for user in ("ann", "ann", "bob", "ann")], ["made 1", "made 1", "made 2", "made 1"])


def sessions(kind, r):
    for engine in ("cache", "cached_db"):
        with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}", SESSION_CACHE_ALIAS=kind):
            r.flushdb()
            ann, bob = Client(), Client()
            same((ann.get("/buy/tea").status_code, ann.post("/enter", {"name": "ann", "password": "wrong"}).status_code, r.dbsize()), (403, 403, 0))
            same((ann.post("/enter", {"name": "ann", "password": "secret"}).content, bob.post("/enter", {"name": "bob", "password": "secret"}).content, r.dbsize()), (b"come in", b"come in", 2))
            same((ann.get("/buy/tea").content, bob.get("/buy/milk").content, ann.get("/buy/cake").content), (b"ann has tea", b"bob has milk", b"ann has tea, cake"))
            key, = r.keys(f"*{ann.cookies['sessionid'].value}")
            same(1_000_000 < r.ttl(key) <= 1_209_600, True)
            # A session that the cache has lost is in the database, if it is there too.
            r.delete(key)
            same(ann.get("/buy/jam").status_code, {"cache": 403, "cached_db": 200}[engine])
            same((bob.get("/leave").content, bob.get("/buy/milk").status_code, r.keys(f"*{bob.cookies['sessionid'].value or 'none'}")), (b"bye", 403, []))


def together(kind):
    """Four threads at once, each with connections of its own or of the pool."""
    caches[kind].set("visits", 0, timeout=None)
    won = []

    def visit():
        cache = caches[kind]
        for n in range(50):
            cache.incr("visits")
            won.append(cache.add(f"first:{n}", 1))
        cache.close()

    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same((caches[kind].get("visits"), sum(won)), (200, 50))


def more_of_django_redis():
    """What django-redis has, and Django's own backend has not."""
    cache, rival = caches["django-redis"], caches["django-redis other"]
    cache.clear()
    cache.set_many({f"user:{n}": n for n in range(1500)}, timeout=None)
    rival.set("user:1", "stays")
    same((sum(1 for _ in cache.iter_keys("user:*")), sorted(cache.keys("user:14?")), cache.ttl("user:1"), cache.ttl("nope")), (1500, [f"user:14{n}" for n in range(10)], None, 0))
    same((cache.delete_pattern("user:1*", itersize=100), len(cache.keys("*")), rival.get("user:1")), (1111 - 500, 1500 - 611, "stays"))
    same((cache.expire("user:2", 100), 0 < cache.ttl("user:2") <= 100, cache.pexpire("user:2", 5000), 0 < cache.pttl("user:2") <= 5000, cache.persist("user:2"), cache.ttl("user:2")), (True, True, True, True, True, None))
    same((cache.set("once", 1, nx=True), cache.set("once", 2, nx=True), cache.set("new", 1, xx=True), cache.get("once")), (True, False, False, 1))
    same((cache.sadd("set", "a", ("b", 1)), cache.smembers("set"), cache.sismember("set", "a"), cache.srem("set", "a")), (2, {"a", ("b", 1)}, True, 1))
    same((cache.hset("hash", "f", [1]), cache.hkeys("hash"), cache.hexists("hash", "f"), cache.hdel("hash", "f")), (1, ["f"], True, 1))
    same((cache.zadd("scores", {"ann": 1, "bob": 2}), cache.zrange("scores", 0, -1), cache.zincrby("scores", 5, "ann"), cache.zrevrange("scores", 0, 0)), (2, ["ann", "bob"], 6.0, ["ann"]))

    order, lock = [], cache.lock("lock", timeout=10, thread_local=False)

    def wait():
        with cache.lock("lock", timeout=10, sleep=0.005):
            order.append("rival")

    same((lock.acquire(), cache.lock("lock").acquire(blocking=False), lock.extend(10)), (True, False, True))
    waiter = threading.Thread(target=wait)
    waiter.start()
    order.append("owner")
    lock.release()
    waiter.join()
    same((order, "lock" in cache), (["owner", "rival"], False))

    raw = get_redis_connection("django-redis")
    same((raw.set("raw", 1), raw.get("raw"), raw.connection_pool is get_redis_connection("django-redis").connection_pool), (True, b"1", True))
    squeezed = caches["squeezed"]
    squeezed.set("text", ["long"] * 1000)
    same((squeezed.get("text") == ["long"] * 1000, squeezed.incr_version("text"), get_redis_connection("squeezed").strlen(":2:text") < 200), (True, 2, True))


def restart():
    """While the server is away there are errors, or no values where that is wished for."""
    with servers.another("--requirepass", "secret") as server:
        url = f"redis://:secret@127.0.0.1:{server.port}/1"
        add_cache("patient", "django-redis", url, OPTIONS={"IGNORE_EXCEPTIONS": True})
        add_cache("hasty", "django-redis", url)
        add_cache("hasty own", "own", url)
        hasty, patient = [caches["hasty"], caches["hasty own"]], caches["patient"]
        for cache in [*hasty, patient]:
            cache.set("a", 1)
            same(cache.get("a"), 1)
        server.stop()
        for cache in hasty:
            raises(redis.ConnectionError, lambda: cache.get("a"))
            raises(redis.ConnectionError, lambda: cache.set("a", 1))
        same((patient.get("a", "none"), patient.get_many(["a"])), ("none", {}))
        server.start()
        same([(cache.get(name), cache.add(name, 2), cache.get(name)) for name, cache in enumerate([*hasty, patient])], [(None, True, 2)] * 3)


call_command("migrate", verbosity=0)
for name in ("ann", "bob"):
    User.objects.create_user(name, password="secret")
for db, kind in enumerate(BACKENDS):
    with redis.Redis(port=PORT, db=db) as r:
        values(kind, r)
        pages(kind)
        sessions(kind, r)
        together(kind)
more_of_django_redis()
restart()
done()
