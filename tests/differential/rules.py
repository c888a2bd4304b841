"""What may differ between redis-server 7.0 and respd, and why.

LEFT_OUT are commands that are not drawn. A rule looks at two replies that are not the
same, and says whether they are what it is about: it belongs to commands, and holds
under a condition, so that it hides nothing else. A rule that is never needed in a long
run is reported, and should go."""
from values import BY_LETTERS, RUNNER_SHA, RUNNERS

LEFT_OUT = {
    "shutdown": "ends the server", "monitor": "tells times and addresses", "sync": "starts replication", "psync": "starts replication",
    "replconf": "belongs to replication", "replicaof": "starts replication", "slaveof": "starts replication", "failover": "belongs to replication", "role": "tells the state of replication",
    "restore-asking": "belongs to a cluster", "wait": "waits for replicas that may come, which respd does not",
    "debug": "looks into the process; what of it is the same on both comes in its places",
    "info": "tells of the process", "time": "tells the moment", "lolwut": "draws by chance, and in its own way",
    "memory|usage": "counts what an allocator gives", "memory|stats": "tells of the allocator", "memory|doctor": "tells of the allocator", "memory|malloc-stats": "tells of the allocator", "memory|purge": "speaks to the allocator",
    "latency|latest": "tells of the moment", "latency|graph": "tells of the moment", "latency|doctor": "is a text of its own", "latency|histogram": "tells of the moment", "latency|reset": "tells how much there was",
    "slowlog|get": "tells of the moment", "slowlog|len": "tells of the moment",
    "client|list": "tells ids, addresses and ages", "client|info": "tells ids, addresses and ages", "client|kill": "comes in its place, with the id of a client of the round",
    "client|pause": "comes in its place, since somebody has to end it", "client|reply": "comes in its place, since the reader must know what is silent", "client|unblock": "comes in its place, with the id of a client of the round",
    "client|tracking": "comes in its place, with the ids of clients of the round", "config|set": "is set for each round", "config|get": "has the settings of another version", "config|rewrite": "there is no file", "config|resetstat": "answers OK",
    "command": "is the table of another version", "command|docs": "is the table of another version", "command|info": "is the table of another version", "command|list": "is the table of another version", "command|count": "is the table of another version",
    "xgroup|create": "comes in its place, together with a consumer",
    "pfselftest": "takes seconds", "pfdebug": "looks into the process", "randomkey": "answers by chance",
    "script|debug": "there is no debugger in respd", "function|stats": "tells of engines", "function|dump": "differs by the version of its format",
}
LEFT_OUT.update({f"{name}|help": "is in respd's own words" for name in (
    "acl", "client", "command", "config", "function", "latency", "memory", "module", "object", "pubsub", "script", "slowlog", "xgroup", "xinfo")})


EXPIRING = ("expire", "pexpire", "set", "setex", "psetex", "getex", "restore")


def misplaced(words):
    """Whether an XREAD has something before STREAMS that is no option, or not as many ids as
    streams."""
    rest = [word.upper() for word in words[1:]]
    while rest[:1] in ([b"BLOCK"], [b"COUNT"]):
        rest = rest[2:]
    return rest[:1] != [b"STREAMS"] or len(rest) % 2 == 0


def settled(name, words):
    """Whether what the call does is neither left to chance, nor to the moment, nor to the
    version: after it, both servers would hold different things, whatever rules say."""
    if name == "spop":
        return len(words) < 2 or words[2:] in ([b"0"], [b"100000"], [b"-1"], [b"x"])
    # 7.2 makes a consumer in any case, 7.0 when it gets something; c1 is there before.
    if name in ("xclaim", "xautoclaim"):
        return len(words) < 4 or words[3] == b"c1"
    if name == "xreadgroup":
        return b"c1" in words[2:5] and b"GROUP" in (word.upper() for word in words[:3])
    if name == "xgroup|delconsumer":
        return words[-1] != b"c1"
    if name in BY_LETTERS or name == "zrange" and b"BYLEX" in (word.upper() for word in words):
        # Where scores differ, Redis promises nothing, and what it finds is chance.
        return len(words) < 2 or words[1][:1] == b"y"
    if name == "zrangestore" and b"BYLEX" in (word.upper() for word in words):
        return len(words) < 3 or words[2][:1] == b"y"
    if name in ("sort", "sort_ro") and b"BY" in (word.upper() for word in words):
        # What weighs the same keeps the order that it has, and only lists have one.
        return words[1][:1] == b"q"
    if name == "scan":
        # 7.0 tells of a miss where a key that is over has its type looked at. One that stops
        # half-way has met some of the keys that are over, and told of them, or other ones.
        return b"TYPE" not in (word.upper() for word in words) and words[1:2] == [b"0"] and b"1000" in words[2:]
    if name == "lpos":
        # It has no opposite. 7.2 refuses it as a rank, before it looks at the key.
        return b"-9223372036854775808" not in words
    if name == "xread" and misplaced(words):
        return False  # we track its keys, Redis does not: the list of differences says so
    if name in ("xread", "xreadgroup") and b"BLOCK" in (word.upper() for word in words):
        # Of a stream that is named twice 7.0 takes one id or the other.
        keys = words[1 + max(place for place, word in enumerate(words) if word.upper() in (b"STREAMS", b"BLOCK")):]
        return len(set(keys[: len(keys) // 2])) == len(keys) // 2
    if name == "hello":
        # 7.0 has given the name already when it meets what is wrong behind it.
        return b"SETNAME" not in (word.upper() for word in words)
    if name == "xadd":
        return b"*" not in words[2:]
    if name in ("expire", "pexpire") and {b"GT", b"LT"} & {word.upper() for word in words}:
        return False  # the same time from now on is longer in the next millisecond; EXPIREAT has them, too
    if name in EXPIRING:
        return not any(word.isdigit() and 0 < int(word) < 10**5 for word in words[3 if name == "set" else 2:])
    return True


def parts(sent, reply):
    """Whether the servers hold different things after this reply, though both have given
    it. Of a corrupted HyperLogLog, PFADD changes what stands before the fault in Redis,
    and nothing in respd, as the list of differences says."""
    calls = (sent, *(sent.queue or ())) if sent else ()
    adds = any(word.upper() == b"PFADD" for call in calls for word in call.words if isinstance(word, bytes))
    return adds and any(header.startswith(b"-INVALIDOBJ") for header in heads(reply))


class Context:
    """Two replies to one call, `theirs` being redis-server's, and what was so around it."""

    def __init__(self, sent, theirs, ours, around):
        self.sent, self.theirs, self.ours, self.around = sent, theirs, ours, around
        self.words = [word if isinstance(word, bytes) else b"" for word in sent.words] if sent else []
        self.name = sent.name if sent else "message"

    def within(self, words, theirs, ours, queue=None):
        """Of a call that this one runs."""
        return Context(Sent(words, self.around.names(words), queue), theirs, ours, self.around)

    def has(self, word):
        return word in (given.upper() for given in self.words[1:])


class Sent:
    """A call that was sent, and the calls that were queued before if it is an EXEC.
    `drawn` is false of what ends a round."""

    def __init__(self, words, name, queue=None, drawn=True):
        self.words, self.name, self.queue, self.drawn = words, name, queue, drawn


class Around:
    """What rules may ask for: the round, which client has which id, and the names of commands."""

    def __init__(self, round, their_ids, our_ids, names):
        self.round, self.their_ids, self.our_ids, self.names = round, their_ids, our_ids, names

    def stores(self):
        """Whether some call of the round stores what it makes of other keys."""
        return any(b"STORE" in word.upper() for step in self.round.steps for words in step.calls for word in words if isinstance(word, bytes))

    def mentions(self, *wanted):
        """Whether some call of the round has all of these words."""
        return any(
            {word.upper() for word in words if isinstance(word, bytes)} >= {word.upper() for word in wanted}
            for step in self.round.steps for words in step.calls
        )


class Rule:
    """`ends` says that what the servers hold is not the same from here on, so that the
    rest of the round tells nothing. `waits` says that the rule is about replies of which
    one is None, as the client still waits for it."""

    def __init__(self, commands, reason, holds, ends=False, waits=False):
        self.commands, self.reason, self.holds, self.ends, self.waits = commands.split(), reason, holds, ends, waits


# --- what replies have in common ------------------------------------------


def error(frame):
    return frame[0][:1] == b"-"


def integers(context):
    return context.theirs[0][:1] == context.ours[0][:1] == b":"


def near(far):
    def holds(context):
        return integers(context) and abs(int(context.theirs[0][1:]) - int(context.ours[0][1:])) <= far and int(context.ours[0][1:]) >= 0
    return holds


def numbers(frame):
    """It with all fractions written in one way."""
    header, payload, children = frame
    if payload and b"." in payload and double(payload.decode("latin-1")) is not None:
        payload = repr(float(payload)).encode()
        header = b"$%d" % len(payload)
    return header, payload, children and [numbers(child) for child in children]


def served_from_an_earlier_key(context):
    keys = [frame[2][0][1] for frame in (context.theirs, context.ours) if frame[2]]
    if len(keys) < 2 or not {*keys} <= {*context.words}:
        return False
    theirs, ours = map(context.words.index, keys)
    moves = any(context.around.mentions(name) for name in (b"BLMOVE", b"BRPOPLPUSH"))
    return moves and ours < theirs


def in_any_order(context):
    a, b = numbers(context.theirs), numbers(context.ours)
    return a[0] == b[0] and a[2] is not None and b[2] is not None and sorted(a[2], key=repr) == sorted(b[2], key=repr)


def pairs_in_any_order(context):
    a, b = numbers(context.theirs), numbers(context.ours)
    pairs = lambda frame: sorted(zip(frame[2][::2], frame[2][1::2]), key=repr)
    return a[0] == b[0] and a[2] is not None and b[2] is not None and pairs(a) == pairs(b)


def scores_in_any_order(context):
    a, b = context.theirs, context.ours
    pairs = lambda frame: sorted((member[1], double(score[1])) for member, score in zip(frame[2][::2], frame[2][1::2]))
    return a[0] == b[0] and bool(a[2] and b[2]) and pairs(a) == pairs(b)


def found_otherwise(context):
    a, b = context.theirs[2], context.ours[2]
    if not a or not b:
        return False
    if context.name == "command|getkeysandflags":
        if any(flags[2] for _, flags in (child[2] for child in a)):
            return False
        a, b = ([child[2][0] for child in children] for children in (a, b))
    return sorted(a) == sorted(b) and (a == b or context.words[2].upper() in (b"ZINTERSTORE", b"ZUNIONSTORE", b"ZDIFFSTORE"))


def scanned(whole):
    def holds(context):
        a, b = context.theirs, context.ours
        if a[0] != b"*2" or b[0] != b"*2" or a[2][0] != b[2][0]:
            return False
        return whole(context.within(context.words, a[2][1], b[2][1]))
    return holds


def double(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def shortest(a, b):
    """Whether they differ only in how 7.0 writes doubles, with 17 digits."""
    if a == b:
        return True
    if a[2] is not None and b[2] is not None:
        return a[0] == b[0] and len(a[2]) == len(b[2]) and all(shortest(x, y) for x, y in zip(a[2], b[2]))
    if a[0][:1] == b[0][:1] == b",":
        x, y = a[0][1:].decode(), b[0][1:].decode()
    elif a[0][:1] == b[0][:1] == b"$" and a[1] and b[1]:
        x, y = a[1].decode("latin-1"), b[1].decode("latin-1")
    else:
        return False
    value = double(x)
    return value is not None and value == double(y) and x == "%.17g" % value


def answered_alike(frame):
    """What a reply is but for its numbers and texts."""
    return frame[0][:1], [answered_alike(child) for child in frame[2]] if frame[2] is not None else None


def as_long(context):
    return answered_alike(context.theirs) == answered_alike(context.ours)


def same_times(a, b):
    """Whether they differ only in moments and ages, which are close, and in what 7.2 tells
    of a consumer: when it was seen last, also in vain, and when it was active."""
    if a == b:
        return True
    if a[0][:1] == b[0][:1] == b":":
        return abs(int(a[0][1:]) - int(b[0][1:])) < 5000 and (int(a[0][1:]) > 10**12) == (int(b[0][1:]) > 10**12)
    if a[2] is None or b[2] is None:
        return False
    told = [child for place, child in enumerate(b[2]) if child[1] not in ACTIVE and not (place and b[2][place - 1][1] in ACTIVE)]
    before = [None] + [child[1] for child in a[2]]
    return len(told) == len(a[2]) and all(name in (b"seen-time", b"idle") or same_times(x, y) for name, x, y in zip(before, a[2], told))


ACTIVE = (b"active-time", b"inactive")


def texts(frame):
    return [child[1] for child in frame[2] or ()]


def unsubscribed(context):
    """The end of subscriptions to everything at once."""
    a, b = texts(context.theirs), texts(context.ours)
    return len(a) == len(b) == 3 and a[0] == b[0] and a[0].endswith(b"unsubscribe") and context.theirs[2][2] == context.ours[2][2]


def same_message(context):
    """By the way of two patterns."""
    a, b = texts(context.theirs), texts(context.ours)
    return len(a) == len(b) == 4 and a[0] == b[0] == b"pmessage" and a[2:] == b[2:]


def expired(frame):
    """What kind of event is told if it is that of a key that is over, or None."""
    told = texts(frame)
    if len(told) != 4 or not (told[3] == b"expired" or told[2].endswith(b":expired")):
        return None
    return told[2].split(b":")[0]


def ordered(frame):
    """It with everything in one order."""
    header, payload, children = frame
    return header, payload, children and sorted((ordered(child) for child in children), key=repr)


def more(theirs, ours):
    """Whether ours has all that theirs has, and more."""
    return bool(theirs[2] and ours[2]) and len(theirs[2]) < len(ours[2]) and all(child in ours[2] for child in theirs[2])


def heads(frame):
    """The headers of all that is in it."""
    return [frame[0], *(header for child in frame[2] or () for header in heads(child))]


def begun(context):
    """A scan that was not asked to do all at once, or that goes on from a made up cursor, goes its own way."""
    cursor = context.words[1 if context.name == "scan" else 2]
    return context.theirs[0] == context.ours[0] == b"*2" and (cursor != b"0" or not context.has(b"1000"))


def but_for(*names):
    """Maps, or arrays of pairs, that are the same but for these fields, which are of one kind."""
    def holds(context):
        return like(context.theirs, context.ours, names)
    return holds


def like(a, b, names):
    if a == b:
        return True
    if a[2] is None or b[2] is None or a[0] != b[0]:
        return False
    before = (None, None, None)
    for x, y in zip(a[2], b[2]):
        known = before[1] in names and x[0][:1] == y[0][:1]
        if not known and not like(x, y, names):
            return False
        before = x
    return True


def ids(context):
    """Ids of clients, in the same places, of the same clients."""
    return same_ids(context.around, context.theirs, context.ours)


def same_ids(around, a, b):
    if a[0][:1] == b[0][:1] == b":":
        x, y = int(a[0][1:]), int(b[0][1:])
        return x == y or around.their_ids.get(x, x) == around.our_ids.get(y, y)
    return a == b or None not in (a[2], b[2]) and a[0] == b[0] and all(same_ids(around, x, y) for x, y in zip(a[2], b[2]))


def sorted_before(context):
    """Whether anything has been sorted in the round, which turns a small sorted set into a skiplist."""
    return context.around.mentions(b"SORT") or context.around.mentions(b"SORT_RO")


def dumped(context):
    """Values of the same kind; what they are is seen elsewhere."""
    a, b = context.theirs[1], context.ours[1]
    return a and b and (a[0] == b[0] or a[0] == 5 and sorted_before(context)) and a[-10:-8] == b[-10:-8]


RULES = [
    # What 7.2 does otherwise than 7.0.
    Rule("xread xreadgroup", "7.2 names the command as it was sent, and its own special id", lambda context: context.theirs[0].startswith(b"-ERR Unbalanced XREAD list") and context.ours[0].startswith(b"-ERR Unbalanced 'xread")),
    Rule("hello", "7.2 looks at all options before it takes the password", lambda context: context.theirs[0].startswith(b"-WRONGPASS") and context.ours[0].startswith((b"-ERR Syntax error in HELLO", b"-ERR Client names cannot"))),
    Rule("blpop brpop blmpop", "7.2 runs the command again, and finds what another who waited has moved to a key that this one names first", served_from_an_earlier_key, ends=True),
    Rule("xsetid", "7.2 also looks at what has been deleted", lambda context: (context.theirs[0] == b"+OK" or context.theirs[0].endswith((b"top item", b"target stream length"))) and context.ours[0].endswith(b"is smaller than current max_deleted_entry_id"), ends=True),
    Rule("command|getkeys command|getkeysandflags", "7.2 takes more words for ZRANK, and fewer for PFMERGE", lambda context: error(context.theirs) and context.words[2].upper() in (b"ZRANK", b"ZREVRANK", b"PFMERGE")),
    Rule("xread xreadgroup", "7.2 runs the command again when an entry comes, and answers all streams that have some", lambda context: context.has(b"BLOCK") and more(context.theirs, context.ours), ends=True),
    Rule("xread xreadgroup", "7.0 serves who waits for a stream that has been changed in another way, with nothing", lambda context: context.ours is None and context.has(b"BLOCK") and b"*0" in heads(context.theirs), ends=True, waits=True),
    Rule("xreadgroup", "7.2 answers what the command does when it is run again", lambda context: context.ours[0].startswith((b"-NOGROUP No such key", b"-WRONGTYPE")) and context.theirs[0] in (b"-UNBLOCKED the stream key no longer exists", b"-NOGROUP the consumer group this client was blocked on no longer exists")),
    Rule("xread xreadgroup blpop brpop blmpop bzpopmin bzpopmax bzmpop", "7.2 runs the command again when a key comes, and so may meet another one of the wrong type", lambda context: context.theirs[0][:1] != b"-" and context.ours[0].startswith(b"-WRONGTYPE"), ends=True),
    Rule("blpop brpop blmove brpoplpush blmpop bzpopmin bzpopmax bzmpop", "7.2 tells a timeout that is too long from a negative one", lambda context: context.theirs[0] == b"-ERR timeout is negative" and context.ours[0] == b"-ERR timeout is out of range"),
    Rule("object|encoding debug|object", "small sets and lists are listpacks from 7.2 on", lambda context: context.theirs[1] in (b"hashtable", b"quicklist") and context.ours[1] == b"listpack"),
    Rule("*", "7.2 writes doubles with as few digits as tell them apart, 7.0 with 17", lambda context: shortest(context.theirs, context.ours)),
    # What the list of differences names.
    Rule("blpop brpop blmove brpoplpush blmpop bzpopmin bzpopmax bzmpop", "who waits is served, too, when a value takes the place of one of another kind", lambda context: context.theirs is None and not error(context.ours) and context.around.stores(), ends=True, waits=True),
    Rule("sort sort_ro", "an error of reading numbers sticks to Redis", lambda context: context.theirs[0] == b"-ERR One or more scores can't be converted into double" and not error(context.ours), ends=True),
    Rule("object|encoding", "SORT turns a small sorted set into a skiplist, which respd has no need to", lambda context: context.theirs[1] == b"skiplist" and context.ours[1] == b"listpack" and sorted_before(context)),
    Rule("zscan", "a skiplist has another order, and other texts of its scores", lambda context: sorted_before(context) and scanned(scores_in_any_order)(context)),
    Rule("command|getkeys command|getkeysandflags", "Redis has another way to find keys whose number is not written plainly, with the destination last and no flags", found_otherwise),
    Rule("dump", "it is free how to compress, and in which order to tell what has none", dumped),
    # What Redis shows of its insides.
    Rule("object|refcount", "in Redis the words of a transaction hold a value beside its key", lambda context: (context.theirs[0], context.ours[0]) == (b":2", b":1") and context.around.mentions(b"EXEC")),
    Rule("object|idletime", "in Redis small numbers are the same object for all keys, whenever that was used", lambda context: integers(context) and int(context.theirs[0][1:]) > int(context.ours[0][1:])),
    # What the moment, chance, or the server decides, and what has no order.
    Rule("message", "what has no order is given up in any", unsubscribed),
    Rule("eval eval_ro evalsha evalsha_ro fcall fcall_ro", "tables have no order", lambda context: b"setresp(3)" in context.words[1] and ordered(context.theirs) == ordered(context.ours)),
    Rule("message", "each server gives its own ids", lambda context: texts(context.theirs)[:1] == [b"tracking-redir-broken"] and ids(context)),
    Rule("message", "patterns have no order", same_message),
    Rule("message", "a scan meets keys that are over in any order", lambda context: context.around.mentions(b"SCAN") and expired(context.theirs) is not None and expired(context.theirs) == expired(context.ours)),
    Rule("function|list", "what has no order is told in any", lambda context: ordered(context.theirs) == ordered(context.ours)),
    Rule("object|freq", "it counts by chance", integers),
    Rule("xinfo|stream xinfo|consumers xpending", "the servers run a command one after the other, and 7.2 tells more of a consumer", lambda context: same_times(context.theirs, context.ours)),
    Rule("hello", "each server tells its own version and ids", but_for(b"version", b"id")),
    Rule("srandmember hrandfield zrandmember", "it answers by chance", as_long),
    Rule("ttl pttl expiretime pexpiretime", "the servers are told of a key's time one after the other", lambda context: near(3 if context.name in ("ttl", "expiretime") else 3000)(context)),
    Rule("client|id client|getredir client|trackinginfo", "each server gives its own ids", ids),
    Rule("object|idletime", "the servers are asked one after the other", near(3)),
    Rule("pubsub|channels pubsub|shardchannels spop smembers sunion sinter sdiff keys hkeys hvals", "what has no order is told in any", in_any_order),
    Rule("hgetall", "what has no order is told in any", pairs_in_any_order),
    Rule("scan hscan sscan zscan", "a scan goes its own way, if it does not do all at once", begun),
    Rule("scan sscan", "what has no order is told in any", scanned(in_any_order)),
    Rule("hscan zscan", "what has no order is told in any", scanned(pairs_in_any_order)),
]


def named(frame):
    """Maps, and arrays of names and values, in it in the order of the names."""
    header, payload, children = frame
    if children is None:
        return frame
    children = [named(child) for child in children]
    names = [child[1] for child in children[::2]]
    if header[:1] in b"*%" and len(children) % 2 == 0 and None not in names and (b"name" in names or b"length" in names):
        children = [child for pair in sorted(zip(children[::2], children[1::2]), key=repr) for child in pair]
    return header, payload, children


def raised(frame):
    """An error as the command said it."""
    header, payload, children = frame
    return header.partition(b" script: ")[0] if error(frame) else header, payload, children


RUN = {*RUNNERS, RUNNER_SHA, b"f0"}  # which run the command that they are given


def excuse(context):
    """The rule that allows this difference, or None."""
    waits = context.theirs is None or context.ours is None
    for rule in RULES:
        if rule.waits == waits and ("*" in rule.commands or context.name in rule.commands) and rule.holds(context):
            return rule
    return None if waits else excuse_parts(context)


def excuse_parts(context):
    """Of an EXEC, what its parts have; of a script that runs another command, what that has."""
    a, b, queue = context.theirs, context.ours, context.sent and context.sent.queue
    if context.name == "exec" and queue and a[2] and b[2] and len(a[2]) == len(b[2]) == len(queue):
        return excuse_all(context.within(queued.words, x, y) for queued, x, y in zip(queue, a[2], b[2]))
    if context.name in ("eval", "eval_ro", "evalsha", "fcall") and len(context.words) > 3 and context.words[1] in RUN:
        if context.words[1] == RUNNERS[1]:  # which says of an error where it was raised
            a, b = raised(a), raised(b)
        if context.words[1] == RUNNERS[2]:  # which makes an array of it and of something else
            if not (a[2] and b[2] and len(a[2]) == len(b[2])):
                return None
            a, b = a[2][0], b[2][0]
        if context.words[1] == RUNNERS[3]:  # which makes arrays of pairs out of what has an order, and tables have none
            a, b = named(a), named(b)
        return excuse(context.within(context.words[3:], a, b))
    return None


def excuse_all(contexts):
    """A rule that allows a part, one that ends the round before others, if each has one."""
    found = [excuse(context) for context in contexts if context.theirs != context.ours]
    return None if None in found else max(found, key=lambda rule: rule.ends, default=None)
