"""Values for the arguments of commands. What COMMAND DOCS says of an argument is its
type and its name; where that does not tell what makes sense there, SPECIAL does."""
import hashlib

KEYS = 2  # of each kind
DATABASES = 4

# The kind of key that a group of commands is about.
KINDS = {
    "string": "s", "bitmap": "b", "hyperloglog": "p", "list": "l", "hash": "h",
    "set": "t", "sorted-set": "z", "geo": "g", "stream": "x",
}

# What these answer is defined where all scores are the same, as in the keys y0 and y1,
# which nothing else is drawn for. The like are the lists q0 and q1, which are sorted by weights.
BY_LETTERS = {"zrangebylex", "zrevrangebylex", "zlexcount", "zremrangebylex"}

FEW = [b"a", b"b", b"c", b"d", b"1", b"2"]
TEXTS = FEW + [b"e", b"f", b"m1", b"m2", b"abc", b"ABC", b"foo", b"bar", b"ab\0c"]
NUMBERS = [b"0", b"1", b"2", b"3", b"5", b"10", b"-1", b"-7", b"100", b"12345", b"9223372036854775807"]
ODD = [
    b"", b" ", b"x" * 64, b"y" * 65, b"z" * 600, b"\xff\xfe", b"a b", b"\r\n", b"3.5", b"1e3", b"0x10", b" 1", b"01", b"+1", b"-0",
    b"-9223372036854775808", b"9223372036854775808", b"18446744073709551616", b"nan", b"inf", b"abc*", b"{t}a", b"1.0", b"1" * 30,
]
# What is no number, or one too many; nothing here makes a key expire within a round.
BAD = [b"", b"abc", b"1.5", b"-1", b"0", b"9223372036854775808", b"-9223372036854775809", b"01", b" 1", b"+100", b"1e2", b"nan", b"*", b"(", b"100 "]
EDGES = [b"9223372036854775807", b"-9223372036854775808", b"-9223372036854775807", b"4294967296", b"2147483648"]
DOUBLES = [b"0", b"1", b"2", b"3", b"-1", b"1.5", b"0.1", b"-2.25", b"1e3", b"3.0", b"100", b"17", b"1e-5", b"123456789.125", b"inf", b"-inf", b"+inf", b"-0", b"1e17", b"0.30000000000000004", b"nan", b"0x1p3", b"abc", b""]
EXTREME = [b"1e400", b"5e-324", b"-1e309", b"1.7976931348623157e308"]
PATTERNS = [b"*", b"?", b"s*", b"*1", b"[a-f]*", b"[^a]*", b"m?", b"l[0-1]", b"a\\*", b"x[", b"**", b"*a*", b"\\", b"", b"__key*"]

COMMANDS = [  # for a script
    "'SET',KEYS[1] or 's0',ARGV[1] or 'v'", "'GET',KEYS[1] or 's0'", "'INCR','s1'", "'LPUSH','l0','a','b'", "'LRANGE','l0',0,-1",
    "'HGET','h0','a'", "'ZRANGE','z0',0,-1,'WITHSCORES'", "'SCARD','t0'", "'XADD','x0','9-*','f','v'", "'NOSUCH'", "'GET'",
    "'SUBSCRIBE','c0'", "'MULTI'", "'ZSCORE','z0','a'", "'EXISTS','s0','l0'", "'TYPE','z0'", "'PING'", "'DEL','s0'", "'EVAL','return 1',0",
]
# Runs whatever ARGV says, so that any command of the table can come from a script.
RUNNERS = [b"return redis.pcall(unpack(ARGV))", b"return redis.call(unpack(ARGV))", b"local r = redis.pcall(unpack(ARGV)) return {r, 'end'}", b"redis.setresp(3) return redis.pcall(unpack(ARGV))"]
RUNNER_SHA = hashlib.sha1(RUNNERS[0]).hexdigest().encode()
SCRIPTS = [
    b"return 1", b"return {1, 2.9, 'three', false, true, nil, 4}", b"return {ok='fine'}", b"return {err='E no'}", b"return redis.error_reply('no')",
    b"return redis.status_reply('yes')", b"return #KEYS + #ARGV", b"return {KEYS, ARGV}", b"error('raised')", b"return nothing", b"x = 1", b"return (",
    b"return {double=3.25}", b"redis.setresp(3) return {map={a=1}}", b"redis.setresp(3) return {set={a=true}}", b"redis.setresp(3) return true", b"return redis.sha1hex(ARGV[1] or '')",
    b"return cjson.encode({1, 'a', ARGV})", b"return cjson.decode('[1, {\"a\": null}]')[2].a == cjson.null", b"return tostring(cmsgpack.unpack(cmsgpack.pack({1, 2})))~=nil",
    b"return bit.tohex(65535, 8)", b"return struct.unpack('>I2', 'ab')", b"#!lua\nreturn redis.pcall('SET', 's0', 'shebang')", b"#!lua flags=no-writes\nreturn redis.pcall('SET', 's0', 'x')",
    b"#!lua flags=allow-oom\nreturn 1", b"#!lua name=x\nreturn 1", b"#!js\nreturn 1", b"local t = {} for i = 1, 3 do t[i] = redis.call('RPUSH', 'l1', i) end return t",
    b"return {1, {2, {3, {err='deep'}}}}", b"return redis.REDIS_VERSION_NUM > 0", b"return string.format('%d %s %.3f', 3, 'x', 1.5)", b"return tonumber(ARGV[1] or 'x')",
    b"return {false, false, 1}", b"return pcall(redis.call, 'NOSUCH')", b"local ok, e = pcall(redis.call, 'INCR', 'l0') return e", b"return redis.log(redis.LOG_DEBUG, 'x')",
] + [f"return redis.{call}({command})".encode() for call in ("call", "pcall") for command in COMMANDS]
LIBRARIES = [
    b"#!lua name=lib0\nredis.register_function('f0', function(keys, args) return redis.pcall(unpack(args)) end)",
    b"#!lua name=lib1\nredis.register_function{function_name='f1', callback=function(keys, args) return {keys, args} end, flags={'no-writes'}}",
    b"#!lua name=lib1\nredis.register_function('f1', function(keys) return #keys end)\nredis.register_function('f2', function() error('raised') end)",
    b"#!lua name=lib2\nredis.register_function('f0', function() return 'other' end)", b"#!lua name=lib3\nreturn 1", b"#!lua name=lib4\nx = 1", b"#!lua\nreturn 1", b"no library",
    b"#!lua name=a-b\nredis.register_function('f3', print)", b"#!lua name=lib5\nredis.register_function('bad name', print)", b"#!lua name=lib6\nlocal (",
    b"#!lua name=lib7\nredis.register_function{function_name='f4', callback=function() return redis.call('SET', 's0', 'f4') end, flags={'allow-oom', 'nosuch'}}",
]
ENCODINGS = [b"u1", b"u8", b"i8", b"i5", b"u4", b"i16", b"u16", b"i33", b"u63", b"i64", b"u64", b"i0", b"i65", b"x8", b"u", b"8"]
GEO = [(b"13.361389", b"38.115556"), (b"15.087269", b"37.502669"), (b"2.349", b"48.864"), (b"-0.1278", b"51.5074"), (b"-122.4", b"37.77"), (b"179.99", b"-0.1"), (b"0", b"0"), (b"13.4", b"38.2"), (b"180", b"85.05112878"), (b"181", b"10"), (b"x", b"1")]


class Values:
    """Draws values. `payloads` are what DUMP answered for values of every kind, and
    `names` the names of commands."""

    def __init__(self, random, payloads, names):
        self.random, self.payloads, self.names = random, payloads, names
        self.entries = 0  # that have been added to streams
        self.extreme = False  # whether there are numbers that redis-server's SORT takes offence at later
        self.pick, self.chance = random.choice, lambda share: random.random() < share

    def key(self, kind=None):
        if kind is None or kind not in ("y", "q") and self.chance(0.06):
            kind = self.pick("slhtzxgpb")
        if kind in ("y", "q"):
            return b"%s%d" % (kind.encode(), self.random.randrange(KEYS))
        if self.chance(0.03):
            return self.pick([b"missing", b"", b"k\r\n\0", b"{t}a"])
        return b"%s%d" % (kind.encode(), self.random.randrange(KEYS))

    def text(self):
        dice = self.random.random()
        return self.pick(FEW if dice < 0.55 else TEXTS if dice < 0.75 else NUMBERS if dice < 0.87 else ODD if dice < 0.97 else PATTERNS)

    def integer(self):
        dice = self.random.random()
        return b"%d" % (self.random.randint(0, 4) if dice < 0.5 else self.random.randint(-12, 15)) if dice < 0.93 else self.pick(EDGES)

    def count(self):
        # A negative one of these would ask for as many replies.
        return b"%d" % self.random.randint(-5, 12) if self.chance(0.95) else self.pick([b"9223372036854775807", b"100", b"-100"])

    def double(self):
        if self.extreme and self.chance(0.1):
            return self.pick(EXTREME)
        return self.pick(DOUBLES) if self.chance(0.8) else b"%.2f" % self.random.uniform(-20, 20)

    def pattern(self):
        return self.pick(PATTERNS)

    def far(self, unit):
        """Seconds or milliseconds that are over, or last longer than any round."""
        return b"%d" % (unit * self.pick([1000, 5000, 86400, 10**6, 10**7])) if self.chance(0.88) else self.pick([b"0", b"-1", b"-100"] + EDGES[:3])

    def moment(self, unit):
        return b"%d" % (unit * self.pick([4102444800, 2000000000])) if self.chance(0.85) else self.pick([b"1", b"0", b"-1"] + EDGES[:3])

    def score_bound(self):
        if self.chance(0.3):
            return self.pick([b"-inf", b"+inf", b"(1", b"(-inf", b"inf", b"(", b"nan", b"a"])
        return (b"(" if self.chance(0.3) else b"") + b"%d" % self.random.randint(-3, 20)

    def lex_bound(self):
        return self.pick([b"-", b"+"]) if self.chance(0.35) else self.pick([b"[", b"("]) + self.pick(TEXTS) if self.chance(0.93) else self.pick([b"", b"a", b"[", b"++"])

    def range_bound(self):
        dice = self.random.random()
        return b"%d" % self.random.randint(-12, 12) if dice < 0.5 else self.score_bound() if dice < 0.75 else self.lex_bound()

    def entry(self):
        """The id of an entry of a stream. `*` is left out: the moment is not the same on both servers."""
        if self.chance(0.85):
            return b"%d-%d" % (self.random.randint(0, self.entries + 1), self.random.choice([0, 0, 0, 1]))
        return self.pick([b"0", b"0-0", b"5", b"7-*", b"12-*", b"99-1", b"18446744073709551615-18446744073709551615", b"18446744073709551616", b"abc", b"-1", b"1-", b"1-x", b"-5-1"])

    def next_entry(self):
        self.entries += 1
        return b"%d-0" % self.entries if self.chance(0.85) else self.pick([self.entry(), b"%d-*" % self.entries])

    def entry_bound(self):
        return self.pick([b"-", b"+", b"-", b"+", b"(" + self.entry(), b"(5-0", b"5"]) if self.chance(0.6) else self.entry()

    def script(self):
        return self.pick(SCRIPTS)

    def sha(self):
        return hashlib.sha1(self.pick(SCRIPTS[:10])).hexdigest().encode() if self.chance(0.9) else self.pick([b"0" * 40, b"abc", hashlib.sha1(SCRIPTS[0]).hexdigest().upper().encode()])

    def payload(self):
        payload = self.pick(self.payloads)
        if self.chance(0.15):
            at = self.random.randrange(len(payload) + 1)
            payload = payload[:at] + self.pick([b"", b"\0", b"\xff"]) + payload[at + 1:]
        return payload

    def offset(self):
        return b"%d" % self.random.randint(0, 90) if self.chance(0.93) else self.pick([b"4294967296", b"-1", b"1000", b"#1", b"#x", b"abc"])

    def name(self):
        return self.pick(self.names)

    def database(self):
        dice = self.random.random()
        return b"0" if dice < 0.6 else b"%d" % self.random.randrange(DATABASES) if dice < 0.9 else self.pick([b"16", b"-1", b"x", b"9223372036854775808"])

    def timeout(self, unit=1):
        return b"0" if self.chance(0.9) else self.pick([b"%d" % (100 * unit), b"-1", b"abc", b"1e3", b"inf", b"", b"99999999999999999999"])

    def by_pattern(self):
        return self.pick([b"nosort", b"s*", b"h*->a", b"s1", b"*", b"h0->*", b"x*->f"])


def one_of(*words):
    return lambda values: values.pick(words)


# By the name of an argument: of one command, of a group, or of any.
SPECIAL = {
    ("bitfield", "encoding"): one_of(*ENCODINGS), ("bitfield_ro", "encoding"): one_of(*ENCODINGS),
    ("bitfield", "offset"): lambda values: values.pick([b"", b"#"]) + values.offset(), ("bitfield_ro", "offset"): lambda values: values.pick([b"", b"#"]) + values.offset(),
    ("setbit", "offset"): Values.offset, ("getbit", "offset"): Values.offset, ("setrange", "offset"): Values.offset,
    ("setbit", "value"): one_of(b"0", b"1", b"1", b"0", b"2", b"x"),
    ("bitop", "operation"): one_of(b"AND", b"or", b"XOR", b"NOT", b"NAND"), ("bitpos", "bit"): one_of(b"0", b"1", b"1", b"0", b"2"),
    ("geo", "longitude"): lambda values: values.pick(GEO)[0], ("geo", "latitude"): lambda values: values.pick(GEO)[1],
    ("geo", "radius"): one_of(b"1", b"200", b"5000", b"0", b"-1", b"100000", b"x"), ("geo", "width"): one_of(b"400", b"5000", b"0", b"-1"), ("geo", "height"): one_of(b"400", b"5000", b"0"),
    ("zlexcount", "min"): Values.lex_bound, ("zlexcount", "max"): Values.lex_bound,
    ("zrangebylex", "min"): Values.lex_bound, ("zrangebylex", "max"): Values.lex_bound,
    ("zrevrangebylex", "min"): Values.lex_bound, ("zrevrangebylex", "max"): Values.lex_bound,
    ("zremrangebylex", "min"): Values.lex_bound, ("zremrangebylex", "max"): Values.lex_bound,
    ("zrange", "start"): Values.range_bound, ("zrange", "stop"): Values.range_bound,
    ("zrangestore", "min"): Values.range_bound, ("zrangestore", "max"): Values.range_bound,
    ("sorted-set", "min"): Values.score_bound, ("sorted-set", "max"): Values.score_bound,
    ("stream", "start"): Values.entry_bound, ("stream", "end"): Values.entry_bound, ("stream", "id"): Values.entry,
    ("stream", "last-id"): Values.entry, ("stream", "max_deleted_entry_id"): Values.entry, ("stream", "threshold"): lambda values: values.entry() if values.chance(0.4) else values.integer(),
    ("xadd", "id_or_auto"): Values.next_entry, ("string", "value"): lambda values: values.integer() if values.chance(0.4) else values.text(),
    ("xread", "id"): lambda values: b"$" if values.chance(0.3) else values.entry(), ("xreadgroup", "id"): lambda values: b">" if values.chance(0.7) else values.entry(),
    ("stream", "group"): one_of(b"gr1", b"gr1", b"gr1", b"gr2"), ("stream", "groupname"): one_of(b"gr1", b"gr1", b"gr1", b"gr2"),
    ("stream", "consumer"): one_of(b"c1", b"c1", b"c2", b"c3"), ("stream", "consumername"): one_of(b"c1", b"c2", b"c3"),
    ("xclaim", "consumer"): one_of(b"c1"), ("xautoclaim", "consumer"): one_of(b"c1"), ("xreadgroup", "consumer"): one_of(b"c1"), ("xgroup|delconsumer", "consumername"): one_of(b"c2", b"c3"),
    ("stream", "min-idle-time"): one_of(b"0", b"0", b"1000000", b"-1", b"x"), ("xclaim", "ms"): one_of(b"0", b"100000", b"-1"),
    ("xread", "milliseconds"): lambda values: values.timeout(1000), ("xreadgroup", "milliseconds"): lambda values: values.timeout(1000),
    ("scan", "cursor"): one_of(b"0"), ("hash", "cursor"): one_of(b"0"), ("set", "cursor"): one_of(b"0"), ("sorted-set", "cursor"): one_of(b"0"),
    ("scan", "count"): one_of(b"1000", b"1000", b"0", b"-1", b"x"), ("hscan", "count"): one_of(b"1000", b"0", b"x"), ("sscan", "count"): one_of(b"1000", b"0", b"x"), ("zscan", "count"): one_of(b"1000", b"0", b"x"),
    ("scan", "type"): one_of(b"string", b"list", b"SET", b"zset", b"hash", b"stream", b"nosuch"),
    ("spop", "count"): one_of(b"0", b"100000", b"9223372036854775807", b"-1", b"x"),  # what it takes is chance, unless it is all or nothing
    ("select", "index"): lambda values: values.database(), ("swapdb", "index1"): lambda values: values.database(), ("swapdb", "index2"): lambda values: values.database(),
    ("move", "db"): lambda values: values.database(), ("copy", "destination-db"): lambda values: values.database(),
    ("restore", "frequency"): one_of(b"0", b"1", b"255", b"256"),
    ("wait", "numreplicas"): one_of(b"0"),
    ("function|restore", "serialized-value"): one_of(b"x"),
    ("client|tracking", "prefix"): one_of(b"", b"s", b"l", b"s1", b"z", b"h"),
    ("command|list", "category"): one_of(b"string", b"hash", b"nosuch"),
    ("hello", "username"): one_of(b"default", b"bob"), ("hello", "protover"): one_of(b"2", b"3", b"4", b"x"),
    ("auth", "username"): one_of(b"default", b"bob"), ("latency|history", "event"): one_of(b"command", b"fork"),
    "seconds": lambda values: values.far(1), "milliseconds": lambda values: values.far(1000), "ttl": lambda values: values.far(1000),
    "unix-time-seconds": lambda values: values.moment(1), "unix-time-milliseconds": lambda values: values.moment(1000),
    "count": Values.count, "timeout": Values.timeout, "channel": one_of(b"c0", b"c1", b"c2"), "shardchannel": one_of(b"c0", b"c1", b"c2"),
    "script": Values.script, ("script|load", "script"): lambda values: values.pick(SCRIPTS[:10]), "sha1": Values.sha, "function": one_of(b"f0", b"f1", b"f2", b"f3"), "function-code": one_of(*LIBRARIES), "library-name": one_of(b"lib0", b"lib1", b"lib2"),
    "serialized-value": Values.payload, "by-pattern": Values.by_pattern, "get-pattern": lambda values: b"#" if values.chance(0.4) else values.by_pattern(),
    "command": Values.name, "command-name": Values.name, "password": one_of(b"secret", b""),
}
TYPES = {
    "string": Values.text, "integer": Values.integer, "double": Values.double, "pattern": Values.pattern,
    "unix-time": lambda values: values.moment(1),
}


def value(values, command, argument):
    """A value for an argument of COMMAND DOCS that is neither key nor token nor made of others."""
    name, kind = argument["name"], argument["type"]
    for wanted in ((command.name, name), (command.group, name), name):
        if wanted in SPECIAL:
            return SPECIAL[wanted](values)
    return TYPES.get(kind, Values.text)(values)
