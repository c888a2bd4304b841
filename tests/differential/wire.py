"""Requests as bytes, replies as frames, and a connection that reads what is there."""
import select
import socket


class Incomplete(Exception):
    """The rest of a frame has not come yet."""


def frame(data, at=0):
    """The frame that starts there, as (header, payload or None, children or None), and where it ends."""
    end = data.find(b"\r\n", at)
    if end < 0:
        raise Incomplete
    header, at = data[at:end], end + 2
    kind = header[:1]
    if kind in b"$=!" and header[1:].isdigit():
        end = at + int(header[1:])
        if len(data) < end + 2:
            raise Incomplete
        return (header, data[at:end], None), end + 2
    if kind in b"*~>%|" and header[1:].isdigit():
        children = []
        # An attribute stands before the value that it belongs to.
        for _ in range(int(header[1:]) * (2 if kind in b"%|" else 1) + (kind == b"|")):
            child, at = frame(data, at)
            children.append(child)
        return (header, None, children), at
    return (header, None, None), at


def request(words):
    """The array of bulk strings that a client sends."""
    return b"".join([b"*%d\r\n" % len(words)] + [b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data, self.at = b"", 0
        self.ended = False

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:  # also that nobody reads it
            self.ended = True

    def wait(self, seconds):
        """Whether something came, be it the end, within that time."""
        if self.ended or not select.select([self.socket], [], [], seconds)[0]:
            return False
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError:
            data = b""
        self.ended = not data
        self.data, self.at = self.data[self.at:] + data, 0
        return True

    def next(self):
        """The next whole frame, or None."""
        if self.at == len(self.data):
            return None
        try:
            result, self.at = frame(self.data, self.at)
        except Incomplete:
            return None
        return result

    def ask(self, *words):
        """The answer to one command, on a connection that nothing else comes to."""
        return self.ask_all([words])[0]

    def ask_all(self, commands):
        self.send(b"".join(request([word if isinstance(word, bytes) else str(word).encode() for word in words]) for words in commands))
        answers = []
        while len(answers) < len(commands):
            answer = self.next()
            if answer is not None:
                answers.append(answer)
            elif self.ended or not self.wait(10):
                raise ConnectionError("no answer")
        return answers

    def close(self):
        self.socket.close()


def number(answer):
    return int(answer[0][1:])
