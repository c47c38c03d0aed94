"""The part of the CQL protocol (version 4) that checks readiness and creates the user."""

import socket
import ssl
import struct

LIMIT = 10
ERROR, STARTUP, READY, AUTHENTICATE, QUERY, RESULT, AUTH_RESPONSE, AUTH_SUCCESS = 0, 1, 2, 3, 7, 8, 15, 16
ONE, QUORUM, ALL = 1, 4, 5
ROWS = 2
BAD_CREDENTIALS = 0x0100


class Refused(Exception):
    """The node replied with an error."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Connection:
    """A connection to node `n`, as `user` if the node requires authentication."""

    def __init__(self, plan, n, user=None, password=None):
        address = plan.cql(n)
        plain = socket.create_connection(address, LIMIT)
        self.stream = plain
        if plan.tls:
            context = ssl.create_default_context(cafile=str(plan.ca_file))
            self.stream = context.wrap_socket(plain, server_hostname=address[0])
        opcode, _ = self.send(STARTUP, struct.pack(">h", 1) + text("CQL_VERSION") + text("3.0.0"))
        if opcode == AUTHENTICATE:
            token = f"\0{user}\0{password}".encode()
            self.send(AUTH_RESPONSE, struct.pack(">i", len(token)) + token)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def query(self, statement, consistency=ONE):
        """Runs `statement` and returns its number of rows. All columns must have simple types."""
        encoded = statement.encode()
        body = struct.pack(">i", len(encoded)) + encoded + struct.pack(">hB", consistency, 0)
        opcode, content = self.send(QUERY, body)
        if opcode != RESULT or struct.unpack_from(">i", content)[0] != ROWS:
            return 0
        flags, columns = struct.unpack_from(">ii", content, 4)
        at = 12
        for _ in range(2 if flags & 1 else 0):
            at = after_text(content, at)
        for _ in range(columns):
            for _ in range(1 if flags & 1 else 3):
                at = after_text(content, at)
            at += 2
        return struct.unpack_from(">i", content, at)[0]

    def send(self, opcode, body):
        """Sends a request and returns the opcode and the content of the reply."""
        self.stream.sendall(struct.pack(">BBhBi", 4, 0, 0, opcode, len(body)) + body)
        _, _, _, opcode, length = struct.unpack(">BBhBi", self.read_exactly(9))
        content = self.read_exactly(length)
        if opcode == ERROR:
            code, size = struct.unpack_from(">ih", content)
            raise Refused(code, content[6 : 6 + size].decode(errors="replace"))
        return opcode, content

    def read_exactly(self, length):
        """Returns the next `length` bytes."""
        read = b""
        while len(read) < length:
            more = self.stream.recv(length - len(read))
            if not more:
                raise ConnectionError("the node closed the connection")
            read += more
        return read


def text(value):
    """Encodes a string."""
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def after_text(content, at):
    """Returns the position after the string at `at`."""
    return at + 2 + struct.unpack_from(">h", content, at)[0]
