"""As much of CQL's protocol (version 4) as it takes to see that a node serves and to give it its user."""

import socket
import ssl
import struct

LIMIT = 10
ERROR, STARTUP, READY, AUTHENTICATE, QUERY, RESULT, AUTH_RESPONSE, AUTH_SUCCESS = 0, 1, 2, 3, 7, 8, 15, 16
ONE, QUORUM, ALL = 1, 4, 5
ROWS = 2
BAD_CREDENTIALS = 0x0100


class Refused(Exception):
    """The node answered, and the answer was no."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Connection:
    """A connection to node `n`, as `user` where users are asked for."""

    def __init__(self, plan, n, user=None, password=None):
        address = plan.cql(n)
        plain = socket.create_connection(address, LIMIT)
        self.stream = plain
        if plan.tls:
            context = ssl.create_default_context(cafile=str(plan.ca_file))
            self.stream = context.wrap_socket(plain, server_hostname=address[0])
        opcode, _ = self.ask(STARTUP, struct.pack(">h", 1) + text("CQL_VERSION") + text("3.0.0"))
        if opcode == AUTHENTICATE:
            token = f"\0{user}\0{password}".encode()
            self.ask(AUTH_RESPONSE, struct.pack(">i", len(token)) + token)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def query(self, statement, consistency=ONE):
        """How many rows the answer to `statement` has, all of whose columns must be of simple types."""
        encoded = statement.encode()
        body = struct.pack(">i", len(encoded)) + encoded + struct.pack(">hB", consistency, 0)
        opcode, content = self.ask(QUERY, body)
        if opcode != RESULT or struct.unpack_from(">i", content)[0] != ROWS:
            return 0
        flags, columns = struct.unpack_from(">ii", content, 4)
        at = 12
        for _ in range(2 if flags & 1 else 0):
            at = behind_text(content, at)
        for _ in range(columns):
            for _ in range(1 if flags & 1 else 3):
                at = behind_text(content, at)
            at += 2
        return struct.unpack_from(">i", content, at)[0]

    def ask(self, opcode, body):
        """One request and its reply: what it is, and its content."""
        self.stream.sendall(struct.pack(">BBhBi", 4, 0, 0, opcode, len(body)) + body)
        _, _, _, opcode, length = struct.unpack(">BBhBi", self.exactly(9))
        content = self.exactly(length)
        if opcode == ERROR:
            code, size = struct.unpack_from(">ih", content)
            raise Refused(code, content[6 : 6 + size].decode(errors="replace"))
        return opcode, content

    def exactly(self, length):
        """The next `length` bytes."""
        read = b""
        while len(read) < length:
            more = self.stream.recv(length - len(read))
            if not more:
                raise ConnectionError("the node hung up")
            read += more
        return read


def text(value):
    """A string as CQL writes it."""
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def behind_text(content, at):
    """Where the string at `at` ends."""
    return at + 2 + struct.unpack_from(">h", content, at)[0]
