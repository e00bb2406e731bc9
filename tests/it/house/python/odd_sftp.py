"""OpenSSH's sftp-server behind odd manners: what other servers do, done on purpose.

    odd_sftp.py [MANNER…]                 as the `Subsystem sftp` of an sshd

Requests go on to the real sftp-server and its replies come back, but for what the manners change:

    version=N             VERSION says N
    extensions=A,B        these are offered, and no others; `extensions=` offers none
    extended=hang-up      any EXTENDED request ends the session
    short=N               no read gives more than N bytes
    end=data|failure      reading at the end gives no bytes, or "failure", instead of EOF
    status=bare           STATUS has no message and no language
    status=A:B            STATUS says B where it would say A; may be given several times
    unanswered=N          with more than N requests open, nothing is answered any more
    busy=N                with more than N requests open, the session ends
    handles=N             with N handles open, the next OPEN fails
    names=bare            listings have neither attributes nor long names
    names=long            listings have long names alone
    names=untyped         listings have sizes and times alone; so has every LSTAT
    names=timeless        nothing tells a time
    names=twice           each name is listed twice
    also=HEX              this name is listed as well, with attributes of a small file; may be given several times
    dots=none             `.` and `..` are not listed
    rename=replaces       RENAME replaces what is there
    refuse=T:C            a request of type T (a number of the protocol) is answered with status C; may be given several times

Only what Python brings along is needed.
"""

import os
import struct
import subprocess
import sys
import threading
import time

OPEN, CLOSE, READ, LSTAT, OPENDIR, RENAME, EXTENDED = 3, 4, 5, 7, 11, 18, 200
INIT, VERSION, STATUS, HANDLE, DATA, NAME, ATTRS = 1, 2, 101, 102, 103, 104, 105
SIZE, OWNER, MODE, TIMES, MORE = 1, 2, 4, 8, 0x80000000
EOF, FAILURE = 1, 4


def text(data):
    return struct.pack(">I", len(data)) + data


class Fields:
    """Reads the fields of a packet one after the other."""

    def __init__(self, data):
        self.data = data

    def take(self, count):
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def number(self):
        return struct.unpack(">I", self.take(4))[0]

    def text(self):
        return self.take(self.number())

    def attributes(self):
        """Each part with its flag."""
        flags = self.number()
        parts = {flag: self.take(8 if flag != MODE else 4) for flag in (SIZE, OWNER, MODE, TIMES) if flags & flag}
        if flags & MORE:
            for _ in range(self.number()):
                self.text(), self.text()
        return parts


def packed(parts):
    return struct.pack(">I", sum(parts)) + b"".join(parts[flag] for flag in sorted(parts))


def read_packet(stream):
    head = stream.read(4)
    if len(head) < 4:
        os._exit(0)
    return stream.read(struct.unpack(">I", head)[0])


class Odd:
    """The two directions of one session."""

    def __init__(self, manners):
        pairs = [manner.split("=", 1) for manner in manners]
        self.manners = dict(pairs)
        self.also = [bytes.fromhex(value) for key, value in pairs if key == "also"]
        self.codes = dict(map(int, value.split(":")) for key, value in pairs if key == "status" and ":" in value)
        self.bare = ["status", "bare"] in pairs
        self.refused = dict(map(int, value.split(":")) for key, value in pairs if key == "refuse")
        self.server = subprocess.Popen(
            ["/usr/lib/openssh/sftp-server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.lock = threading.Lock()
        self.open = {}  # requests that are not answered, by id: their type
        self.handles = 0

    def limit(self, name):
        return int(self.manners.get(name, 1 << 30))

    def answer(self, body):
        sys.stdout.buffer.write(text(body))
        sys.stdout.buffer.flush()

    def requests(self):
        while True:
            body = read_packet(sys.stdin.buffer)
            with self.lock:
                body = self.request(body[0], body[1:5], body)
            if body:
                self.server.stdin.write(text(body))
                self.server.stdin.flush()

    def request(self, kind, number, body):
        """What goes on to the server; nothing if it was answered here."""
        if kind == INIT:
            return body
        if kind == EXTENDED and self.manners.get("extended") == "hang-up":
            os._exit(0)
        refusal = self.refused.get(kind)
        if kind in (OPEN, OPENDIR):
            opening = sum(other in (OPEN, OPENDIR) for other in self.open.values())
            if self.handles + opening >= self.limit("handles"):
                refusal = FAILURE
        if refusal is not None:
            self.answer(self.status(number, refusal))
            return None
        self.open[number] = kind
        if len(self.open) > self.limit("unanswered"):
            time.sleep(3600)  # with the lock in hand: nothing is answered any more
        if len(self.open) > self.limit("busy"):
            os._exit(0)
        if kind == READ:
            length = min(struct.unpack(">I", body[-4:])[0], self.limit("short"))
            return body[:-4] + struct.pack(">I", length)
        if kind == RENAME and self.manners.get("rename") == "replaces":
            return bytes([EXTENDED]) + number + text(b"posix-rename@openssh.com") + body[5:]
        return body

    def replies(self):
        while True:
            body = read_packet(self.server.stdout)
            with self.lock:
                kind = self.open.pop(body[1:5], None)
                if kind == CLOSE:
                    self.handles -= 1
                if body[0] == HANDLE:
                    self.handles += 1
                self.answer(self.reply(kind, body[0], body[1:5], body))

    def reply(self, asked, kind, number, body):
        if kind == VERSION:
            return self.version(body)
        if kind == STATUS:
            code = struct.unpack(">I", body[5:9])[0]
            if asked == READ and code == EOF and "end" in self.manners:
                if self.manners["end"] == "data":
                    return bytes([DATA]) + number + text(b"")
                code = FAILURE
            return self.status(number, code)
        if kind == NAME and asked == 12:
            return self.names(number, body)
        if kind == ATTRS:
            return bytes([ATTRS]) + number + packed(self.told(Fields(body[5:]).attributes()))
        return body

    def version(self, body):
        fields = Fields(body[1:])
        version = int(self.manners.get("version", fields.number()))
        offered = {}
        while fields.data:
            name = fields.text()
            offered[name] = fields.text()
        if "extensions" in self.manners:
            wanted = [name.encode() for name in self.manners["extensions"].split(",") if name]
            offered = {name: offered.get(name, b"1") for name in wanted}
        extensions = b"".join(text(name) + text(data) for name, data in offered.items())
        return bytes([VERSION]) + struct.pack(">I", version) + extensions

    def status(self, number, code):
        code = self.codes.get(code, code)
        words = b"" if self.bare else text(b"as odd as it gets") + text(b"en")
        return bytes([STATUS]) + number + struct.pack(">I", code) + words

    def told(self, parts):
        """What is told of a file whatever is asked."""
        if self.manners.get("names") == "untyped":
            return {flag: part for flag, part in parts.items() if flag in (SIZE, TIMES)}
        if self.manners.get("names") == "timeless":
            return {flag: part for flag, part in parts.items() if flag != TIMES}
        return parts

    def names(self, number, body):
        fields = Fields(body[5:])
        way = self.manners.get("names")
        listed = []
        for _ in range(fields.number()):
            name, long_name, parts = fields.text(), fields.text(), self.told(fields.attributes())
            if name in (b".", b"..") and self.manners.get("dots") == "none":
                continue
            if way in ("bare", "long"):
                parts = {}
            if way in ("bare", "untyped"):
                long_name = b""
            listed += [text(name) + text(long_name) + packed(parts)] * (2 if way == "twice" else 1)
        small_file = {SIZE: struct.pack(">Q", 7), MODE: struct.pack(">I", 0o100644), TIMES: struct.pack(">II", 1, 1)}
        listed += [text(name) + text(b"") + packed(small_file) for name in self.also]
        self.also = []
        return bytes([NAME]) + number + struct.pack(">I", len(listed)) + b"".join(listed)


if __name__ == "__main__":
    odd = Odd(sys.argv[1:])
    threading.Thread(target=odd.replies, daemon=True).start()
    odd.requests()
