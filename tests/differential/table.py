"""The command table, as COMMAND and COMMAND DOCS tell it, and calls that keep to it.

A command that is new in respd is in it without a line here, as soon as the
redis-server that it is compared with knows it, too."""
import rules
import values as v


def plain(frame):
    """A reply as Python's own values, maps as dicts."""
    header, payload, children = frame
    if children is not None:
        items = [plain(child) for child in children]
        return dict(zip(items[::2], items[1::2])) if header[:1] == b"%" else items
    if payload is not None:
        return payload.decode("latin-1")
    return int(header[1:]) if header[:1] == b":" else header[1:].decode("latin-1")


class Command:
    """What both servers know of a command: tokens that redis-server's own table lacks are
    left out, as they came with a later version."""

    def __init__(self, row, docs, their_row, their_docs):
        self.name = row[0]  # such as "client|kill"
        self.words = [word.encode() for word in self.name.upper().split("|")]
        self.keys = row[3] != 0 or bool(row[8])
        self.group = docs["group"]
        self.kind = v.KINDS.get(self.group)
        self.blocks = "blocking" in row[2]
        self.writes = "write" in row[2]
        self.arities = row[1], their_row[1]
        self.scripted = "noscript" not in row[2] and "noscript" not in their_row[2]
        known = set(self.tokens(their_docs))
        self.arguments = list(self.known(docs, lambda token: token in known))

    def fits(self, words):
        """Whether both take so many words, or neither does."""
        ours, theirs = (len(words) == arity if arity > 0 else len(words) >= -arity for arity in self.arities)
        return ours == theirs

    def tokens(self, argument):
        yield argument.get("token", "").upper()
        for inner in argument.get("arguments", []):
            yield from self.tokens(inner)

    def known(self, argument, wanted):
        for inner in argument.get("arguments", []):
            if wanted(inner.get("token", "").upper()):
                yield {**inner, "arguments": list(self.known(inner, wanted))}


class Table:
    def __init__(self, ours, theirs):
        """From connections to the two servers that speak RESP3."""
        rows, docs = self.rows(ours), self.docs(ours)
        their_rows, their_docs = self.rows(theirs), self.docs(theirs)
        self.containers = {name for name, entry in docs.items() if "subcommands" in entry}
        self.unknown = sorted(rows.keys() - their_rows.keys())
        self.commands = {
            name: Command(rows[name], docs[name], their_rows[name], their_docs[name])
            for name in rows if name in their_rows and name not in self.containers
        }

    @staticmethod
    def rows(connection):
        rows = plain(connection.ask("COMMAND"))
        return {row[0]: row for outer in rows for row in (outer, *outer[9])}

    @staticmethod
    def docs(connection):
        docs = plain(connection.ask("COMMAND", "DOCS"))
        for entry in list(docs.values()):
            docs.update(entry.get("subcommands", {}))
        return docs

    def name(self, words):
        """The name in the table of what these words call, or None."""
        words = [word.decode("latin-1").lower() if isinstance(word, bytes) else "" for word in words[:2]]
        name = "|".join(words) if words and words[0] in self.containers else "".join(words[:1])
        return name if name in self.commands else None

    def compares(self, words):
        """Whether both servers should answer these words alike, and hold the same then."""
        name = self.name(words)
        return name is not None and self.commands[name].fits(words) and rules.settled(name, words)


class Call:
    """Words that keep to what the table says of a command's arguments."""

    def __init__(self, command, values):
        self.command, self.values, self.number = command, values, None
        self.kind = "y" if command.name in v.BY_LETTERS else command.kind
        self.words = list(command.words) if values.chance(0.9) else [word.lower() for word in command.words]
        self.words += self.all_of(command.arguments)

    def all_of(self, arguments):
        words, counted = [], False
        repeated = [argument for argument in arguments if "multiple" in argument.get("flags", ())]
        if len(repeated) > 1 and not any(argument["name"].startswith("num") for argument in arguments):
            self.number = self.values.random.randint(1, 2)  # as many of each, such as keys and ids
        for argument in arguments:
            if argument["type"] == "integer" and argument["name"] in ("numkeys", "numfields"):
                self.number, counted = self.values.pick([1, 1, 2, 2, 3]), True
                if self.command.group == "scripting":
                    self.number = self.values.pick([0, 0, 1, 2])
                words.append(b"%d" % self.number)
            elif counted:
                counted = False
                words += self.repeated(argument, self.number)
            else:
                words += self.maybe(argument, repeated)
        return words

    def maybe(self, argument, repeated):
        flags = argument.get("flags", ())
        if "optional" in flags and not self.values.chance(0.3):
            return []
        if "multiple" not in flags:
            return self.repeated(argument, 1)
        together = self.number and (argument["name"] == "weight" or len(repeated) > 1)
        return self.repeated(argument, self.number if together else self.values.pick([1, 1, 1, 2, 2, 3, 4]))

    def repeated(self, argument, times):
        flags, token = argument.get("flags", ()), argument.get("token")
        words = []
        for turn in range(times):
            if token is not None and (turn == 0 or "multiple_token" in flags):
                words.append(self.token(token))
            words += self.one(argument)
        return words

    def one(self, argument):
        kind = argument["type"]
        if (self.command.name, argument["name"]) in v.SPECIAL:
            return [v.value(self.values, self.command, argument)]
        if kind == "pure-token":
            return []
        if kind == "oneof":
            return self.repeated(self.values.pick(argument["arguments"]), 1)
        if kind == "block":
            return self.all_of(argument["arguments"])
        if kind == "key":
            return [self.values.key(self.kind)]
        return [v.value(self.values, self.command, argument)]

    def token(self, token):
        return token.encode() if self.values.chance(0.85) else token.lower().encode()
