# Program: Tutorial: leaderboards and counts
# Needs: pip redis==8.1.0
# Exercises: leaderboards, HyperLogLog, bitmaps of daily users, bitfields, geo search, recommendations by sets, recent items
#
"""What is counted, ranked and found: a game, the visitors of a site, and the
shops near somebody."""
import datetime
import os

import redis
from checks import done, raises, same

r = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


def leaderboard():
    board = "board:week"
    same(r.zadd(board, {"ada": 1200, "ben": 950, "cy": 1500, "dee": 700}), 4)
    same(r.zincrby(board, 400, "ben"), 1350.0)
    same(r.zrevrange(board, 0, 2, withscores=True), [("cy", 1500.0), ("ben", 1350.0), ("ada", 1200.0)])
    same(r.zrange(board, 0, 1, desc=True), ["cy", "ben"])
    same((r.zrevrank(board, "ada") + 1, r.zscore(board, "ada"), r.zrevrank(board, "nobody")), (3, 1200.0, None))
    # Only a better result counts.
    same((r.zadd(board, {"ada": 1100}, gt=True, ch=True), r.zadd(board, {"ada": 1300}, gt=True, ch=True)), (0, 1))
    same(r.zadd(board, {"eve": 5}, xx=True), 0)
    # Who stands around a player, and which page it is on.
    rank = r.zrevrank(board, "ben")
    same(r.zrevrange(board, max(rank - 1, 0), rank + 1), ["cy", "ben", "ada"])
    same(r.zcount(board, 1000, "+inf"), 3)
    same(r.zrangebyscore(board, "(1300", 1500), ["ben", "cy"])
    # Among those who have as much, who came first is first.
    moment = 1_700_000_000
    for player, points, after in (("one", 100, 5), ("two", 100, 3), ("three", 90, 1)):
        r.zadd("board:fair", {player: points + (1 - (moment + after) / 10_000_000_000)})
    same(r.zrevrange("board:fair", 0, -1), ["two", "one", "three"])
    # Of two weeks together, with half of the older one.
    r.zadd("board:last", {"dee": 3000, "fay": 100})
    same(r.zunionstore("board:both", {board: 1, "board:last": 0.5}), 5)
    same(r.zrevrange("board:both", 0, 0, withscores=True), [("dee", 2200.0)])
    same(r.zinter([board, "board:last"]), ["dee"])
    same(r.zmscore(board, ["ada", "nobody"]), [1300.0, None])
    # Only the best hundred are kept.
    with r.pipeline() as pipe:
        pipe.zadd("board:top", {f"p{n:03}": n for n in range(500)})
        pipe.zremrangebyrank("board:top", 0, -101)
        same(pipe.execute(), [500, 400])
    same((r.zcard("board:top"), r.zrange("board:top", 0, 0)), (100, ["p400"]))
    same(r.expireat("board:top", datetime.datetime(2100, 1, 1)), True)
    many = {f"player:{n}": (n * 7919) % 100_003 for n in range(20_000)}
    r.zadd("board:many", many)
    order = sorted(many, key=lambda player: (-many[player], player))
    same(r.zrevrange("board:many", 0, 9), order[:10])
    same([r.zrevrank("board:many", player) for player in order[5000:5010]], list(range(5000, 5010)))
    same(r.zpopmax("board:many", 2), [(player, float(many[player])) for player in order[:2]])


def unique_visitors():
    """The same counts as on redis-server, since the same hash counts them."""
    with r.pipeline(transaction=False) as pipe:
        for n in range(30_000):
            pipe.pfadd(f"visitors:2024-01-0{1 + n % 3}", f"user:{n % 12_000}")
        changed = sum(pipe.execute())
    days = [f"visitors:2024-01-0{day}" for day in (1, 2, 3)]
    print("HyperLogLog", changed, [r.pfcount(day) for day in days], r.pfcount(*days))
    same(abs(r.pfcount(days[0]) - 4000) < 4000 * 0.03, True)
    same(abs(r.pfcount(*days) - 12_000) < 12_000 * 0.03, True)
    same(r.pfmerge("visitors:week", *days), True)
    same(r.pfcount("visitors:week"), r.pfcount(*days))
    same(r.strlen("visitors:week") < 13_000, True)
    same((r.pfadd("few", "a", "b", "a"), r.pfadd("few", "a"), r.pfcount("few"), r.pfcount("none")), (1, 0, 2, 0))


def daily_users():
    monday, tuesday = "active:2024-01-01", "active:2024-01-02"
    with r.pipeline() as pipe:
        for user in range(0, 1000, 2):
            pipe.setbit(monday, user, 1)
        for user in range(0, 1000, 3):
            pipe.setbit(tuesday, user, 1)
        same(sum(pipe.execute()), 0)
    same((r.getbit(monday, 4), r.getbit(monday, 5), r.getbit(monday, 10**6)), (1, 0, 0))
    same((r.bitcount(monday), r.bitcount(tuesday)), (500, 334))
    same((r.bitop("AND", "active:both", monday, tuesday), r.bitcount("active:both")), (125, 167))
    same((r.bitop("OR", "active:either", monday, tuesday), r.bitcount("active:either")), (125, 667))
    r.bitop("NOT", "absent", monday)
    same((r.bitcount("absent"), r.bitpos(monday, 0), r.bitpos(tuesday, 1, 1)), (500, 1, 9))
    # How many days in a row.
    for day in (0, 1, 2, 4):
        r.setbit("streak:7", day, 1)
    [days] = r.bitfield("streak:7").get("u5", 0).execute()
    same((f"{days:05b}", r.setbit("streak:7", 3, 1), r.bitpos("streak:7", 0)), ("11101", 0, 5))
    # Counters that share a string, and stop where they are full.
    field = r.bitfield("counters", default_overflow="SAT")
    same(field.incrby("u8", "#0", 200).incrby("u8", "#0", 100).incrby("u8", "#1", 1).execute(), [200, 255, 1])
    same((r.setbit("far", 2**25, 1), r.strlen("far"), r.bitcount("far")), (0, 2**22 + 1, 1))


def near():
    shops = {"station": (13.3694, 52.5251), "museum": (13.3983, 52.5208), "airport": (13.5033, 52.3667), "potsdam": (13.0645, 52.3906)}
    same(r.geoadd("shops", [part for name, (x, y) in shops.items() for part in (x, y, name)]), 4)
    same(r.geosearch("shops", longitude=13.4050, latitude=52.5200, radius=5, unit="km", sort="ASC"), ["museum", "station"])
    found = r.geosearch("shops", longitude=13.4050, latitude=52.5200, radius=30, unit="km", sort="ASC", withdist=True, withcoord=True)
    same([(name, round(distance, 1)) for name, distance, _ in found], [("museum", 0.5), ("station", 2.5), ("airport", 18.3), ("potsdam", 27.2)])
    same(round(r.geodist("shops", "station", "airport", unit="km"), 2), 19.82)
    same([round(part, 4) for part in r.geopos("shops", "museum")[0]], [13.3983, 52.5208])
    print("geohash", r.geohash("shops", *shops), [r.zscore("shops", shop) for shop in shops], found)
    same(r.geosearch("shops", member="station", width=10, height=10, unit="km", sort="DESC"), ["museum", "station"])
    same(len(r.geosearch("shops", member="station", radius=100, unit="km", count=1, any=True)), 1)
    same(r.geosearchstore("close", "shops", longitude=13.4, latitude=52.52, radius=5, unit="km", storedist=True), 2)
    same(r.zrange("close", 0, -1), ["museum", "station"])
    same((r.zrem("shops", "airport"), r.zcard("shops")), (1, 3))
    raises(redis.ResponseError, lambda: r.geoadd("shops", [190, 95, "nowhere"]))


def sets_of_tags():
    r.sadd("likes:ada", "jazz", "folk", "choir")
    r.sadd("likes:ben", "folk", "choir", "swing")
    same(r.sinter("likes:ada", "likes:ben"), {"folk", "choir"})
    same((r.sdiff("likes:ben", "likes:ada"), r.sintercard(2, ["likes:ada", "likes:ben"])), ({"swing"}, 2))
    same((r.smismember("likes:ada", ["jazz", "swing"]), r.sunionstore("all", "likes:ada", "likes:ben")), ([1, 0], 4))
    r.sadd("raffle", *range(100))
    winners = r.spop("raffle", 3)
    same((len(set(winners)), r.scard("raffle"), r.sismember("raffle", winners[0])), (3, 97, 0))
    same(len(r.srandmember("raffle", 5)), 5)
    same(len({member for member in r.sscan_iter("raffle")}), 97)


def recent_items():
    """The last five that somebody looked at, and none of them twice."""
    for item in (1, 2, 3, 2, 4, 5, 6, 7, 3):
        with r.pipeline() as pipe:
            pipe.lrem("recent:ada", 0, item)
            pipe.lpush("recent:ada", item)
            pipe.ltrim("recent:ada", 0, 4)
            pipe.execute()
    same(r.lrange("recent:ada", 0, -1), ["3", "7", "6", "5", "4"])
    # Words by their beginning.
    r.zadd("words", {word: 0 for word in ("salt", "sand", "sail", "sea", "tide")})
    same(r.zrangebylex("words", "[sa", "[sa\xff"), ["sail", "salt", "sand"])
    same(r.zrange("words", "[se", "+", bylex=True, offset=0, num=1), ["sea"])
    # Hits of each minute in a hash, and the sum.
    for minute, hits in (("12:00", 3), ("12:01", 5), ("12:00", 2)):
        r.hincrby("hits:today", minute, hits)
    same((r.hgetall("hits:today"), sum(map(int, r.hvals("hits:today")))), ({"12:00": "5", "12:01": "5"}, 10))


for part in (leaderboard, unique_visitors, daily_users, near, sets_of_tags, recent_items):
    part()
done()
