"""As much of Kafka's protocol as it takes to see that a broker serves: no tool of its own starts in under a second."""

import socket
import ssl
import struct

from launcher.plan import USER

LIMIT = 10
METADATA, SASL_HANDSHAKE, CREATE_TOPICS, SASL_AUTHENTICATE = 3, 17, 19, 36
NONE, TOPIC_ALREADY_EXISTS = 0, 36


class Refused(Exception):
    """The broker answered, and the answer was no."""


class Connection:
    """A connection to the client listener of broker `n`, as a client of this stack would make it."""

    def __init__(self, plan, n):
        plain = socket.create_connection(("127.0.0.1", plan.kafka_port(n)), LIMIT)
        self.stream = plain
        if plan.tls:
            context = ssl.create_default_context(cafile=str(plan.ca_file))
            self.stream = context.wrap_socket(plain, server_hostname="127.0.0.1")
            self.log_in(plan.password)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def log_in(self, password):
        """PLAIN: the password itself, inside TLS."""
        fail(self.ask(SASL_HANDSHAKE, 1, text("PLAIN")).number("h"))
        token = f"\0{USER}\0{password}".encode()
        fail(self.ask(SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token).number("h"))

    def brokers(self):
        """The brokers that this one knows and that are not fenced."""
        reply = self.ask(METADATA, 1, struct.pack(">i", 0))
        known = []
        for _ in range(reply.number("i")):
            known.append(reply.number("i"))
            reply.text()  # host
            reply.number("i")  # port
            reply.text()  # rack
        return known

    def create_topic(self, name, partitions, replicas, settings):
        """Creates a topic; that it exists already is as good."""
        body = struct.pack(">i", 1) + text(name) + struct.pack(">ihi", partitions, replicas, 0)
        body += struct.pack(">i", len(settings)) + b"".join(text(key) + text(value) for key, value in settings.items())
        reply = self.ask(CREATE_TOPICS, 2, body + struct.pack(">i?", LIMIT * 1000, False))
        reply.number("i")  # throttle time
        reply.number("i")  # topics, one
        reply.text()
        code = reply.number("h")
        if code != TOPIC_ALREADY_EXISTS:
            fail(code)

    def ask(self, api, version, body):
        """One request and its reply."""
        request = struct.pack(">hhi", api, version, 1) + text("bookend-stack") + body
        self.stream.sendall(struct.pack(">i", len(request)) + request)
        reply = Reply(self.exactly(struct.unpack(">i", self.exactly(4))[0]))
        reply.number("i")  # the number of the request
        return reply

    def exactly(self, length):
        """The next `length` bytes."""
        read = b""
        while len(read) < length:
            more = self.stream.recv(length - len(read))
            if not more:
                raise ConnectionError("the broker hung up")
            read += more
        return read


class Reply:
    """The bytes of a reply, read one field after another."""

    def __init__(self, content):
        self.content, self.at = content, 0

    def number(self, form):
        """The next number, of struct's form."""
        (value,) = struct.unpack_from(f">{form}", self.content, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self):
        """The next string, which may be null."""
        length = max(self.number("h"), 0)
        self.at += length
        return self.content[self.at - length : self.at].decode()


def text(value):
    """A string as Kafka writes it."""
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def fail(code):
    """Raises what an error code other than none means."""
    if code != NONE:
        raise Refused(f"error {code}")
