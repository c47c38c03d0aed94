"""The part of the Kafka protocol that checks readiness. Kafka's own tools take more than a second to start."""

import socket
import ssl
import struct

from launcher.plan import USER

LIMIT = 10
METADATA, SASL_HANDSHAKE, CREATE_TOPICS, SASL_AUTHENTICATE = 3, 17, 19, 36
NONE, TOPIC_ALREADY_EXISTS = 0, 36


class Refused(Exception):
    """The broker replied with an error."""


class Connection:
    """A connection to the client listener of broker `n`, with TLS and authentication if the stack requires them."""

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
        """Authenticates with SASL PLAIN, over TLS."""
        fail(self.send(SASL_HANDSHAKE, 1, text("PLAIN")).number("h"))
        token = f"\0{USER}\0{password}".encode()
        fail(self.send(SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token).number("h"))

    def brokers(self):
        """Returns the ids of the brokers that are registered and not fenced."""
        reply = self.send(METADATA, 1, struct.pack(">i", 0))
        known = []
        for _ in range(reply.number("i")):
            known.append(reply.number("i"))
            reply.text()  # host
            reply.number("i")  # port
            reply.text()  # rack
        return known

    def create_topic(self, name, partitions, replicas, settings):
        """Creates a topic, if it does not exist."""
        body = struct.pack(">i", 1) + text(name) + struct.pack(">ihi", partitions, replicas, 0)
        body += struct.pack(">i", len(settings)) + b"".join(text(key) + text(value) for key, value in settings.items())
        reply = self.send(CREATE_TOPICS, 2, body + struct.pack(">i?", LIMIT * 1000, False))
        reply.number("i")  # throttle time
        reply.number("i")  # topics, one
        reply.text()
        code = reply.number("h")
        if code != TOPIC_ALREADY_EXISTS:
            fail(code)

    def send(self, api, version, body):
        """Sends a request and returns its reply."""
        request = struct.pack(">hhi", api, version, 1) + text("bookend-stack") + body
        self.stream.sendall(struct.pack(">i", len(request)) + request)
        reply = Reply(self.read_exactly(struct.unpack(">i", self.read_exactly(4))[0]))
        reply.number("i")  # correlation id
        return reply

    def read_exactly(self, length):
        """Returns the next `length` bytes."""
        read = b""
        while len(read) < length:
            more = self.stream.recv(length - len(read))
            if not more:
                raise ConnectionError("the broker closed the connection")
            read += more
        return read


class Reply:
    """Reads the fields of a reply in their order."""

    def __init__(self, content):
        self.content, self.at = content, 0

    def number(self, form):
        """Returns the next number; `form` is a format of the module struct."""
        (value,) = struct.unpack_from(f">{form}", self.content, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self):
        """Returns the next string; null becomes an empty one."""
        length = max(self.number("h"), 0)
        self.at += length
        return self.content[self.at - length : self.at].decode()


def text(value):
    """Encodes a string."""
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def fail(code):
    """Raises an exception for an error code."""
    if code != NONE:
        raise Refused(f"Kafka error code {code}")
