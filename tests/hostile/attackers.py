# SPDX-License-Identifier: Apache-2.0
"""What the cases of run.py are made of: a server whose memory and counters are read, a healthy client whose latencies are measured, and
sockets that do not keep to the protocol."""
import json
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "raw"))

from remoting import OK, Connection, Late, Lost, Server, frame

RUNTIME_INFO, ROUTE = 28, 105


class Wrong(Exception):
    """The broker did not do what it must."""


def check(condition, text):
    if not condition:
        raise Wrong(text)


def eventually(condition, limit=15):
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Broker:
    """The program under test with what can be read of it from outside."""

    def __init__(self, program, folder, **settings):
        self.server = Server(program, folder, logLevel="warn", **settings)

    def __enter__(self):
        self.server.start()
        self.port, self.address, self.pid = self.server.port, self.server.address, self.server.process.pid
        return self

    def __exit__(self, kind, *unused):
        if kind is None:
            check(self.server.process.poll() is None, f"the server ended by itself: {self.server.process.returncode}\n{self.server.tail()}")
            code = self.server.stop()
            check(code == 0, f"after SIGTERM it ended with {code}\n{self.server.tail()}")
        self.server.kill()

    def figures(self):
        with Connection(self.address, timeout=30) as c:
            answer = c.request(RUNTIME_INFO, {})
        check(answer.code == OK, f"runtime information: {answer.code} {answer.remark}")
        table = json.loads(answer.body)["table"]
        return {k: int(v) if v.lstrip("-").isdigit() else v for k, v in table.items()}

    def counted(self, name, at_least=1, limit=15):
        """Waits until the counter says so; returns it."""
        seen = [0]

        def enough():
            try:
                seen[0] = self.figures()[name]
            except Lost:
                pass   # no room for one more connection just now
            return seen[0] >= at_least

        check(eventually(enough, limit), f"{name} is {seen[0]}, not {at_least} or more")
        return seen[0]

    def memory(self, field="VmRSS"):
        """MiB; VmHWM: the most there was since forget_peak()."""
        with open(f"/proc/{self.pid}/status") as f:
            for line in f:
                if line.startswith(field):
                    return int(line.split()[1]) / 1024
        raise Wrong("the server is gone")

    def forget_peak(self):
        with open(f"/proc/{self.pid}/clear_refs", "w") as f:
            f.write("5")

    def connect(self, receive_buffer=0):
        s = socket.socket()
        if receive_buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        s.settimeout(20)
        s.connect(("127.0.0.1", self.port))
        return s


def attack_as(policy):
    """The scheduling class of this process, which attacks. Attackers would have machines of their own: beside a healthy client they take what
    processor time it and the broker leave."""
    for thread in os.listdir("/proc/self/task"):
        try:
            os.sched_setscheduler(int(thread), policy, os.sched_param(0))
        except OSError:
            pass   # it has ended, or we may not


class Healthy:
    """Sends and pulls one message after the other, as a client that means well does, and notes how long each took (healthy.py, a process)."""
    at_most = float("inf")   # times its p99 may become what it is alone

    def __init__(self, broker, topic="Healthy"):
        with Connection(broker.address) as c:
            c.create_topic(topic)
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "healthy.py"), broker.address, topic], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.times, self.failures = [], []
        attack_as(os.SCHED_IDLE)

    def stop(self):
        attack_as(os.SCHED_OTHER)
        said = json.loads(self.process.communicate(timeout=60)[0])   # its input ends
        self.times, self.failures = said["times"], said["failures"]

    def p99(self, since, until=None):
        """Milliseconds; of what began then."""
        times = sorted(t for began, t in self.times if began >= since and (until is None or began < until))
        return times[int(len(times) * 0.99)] * 1000 if times else float("inf")

    def longest(self, since, until):
        return max((t for began, t in self.times if since <= began < until), default=float("inf"))

    def judge(self, quiet_from, hostile_from, beside=None):
        """What a case says of it. A busy machine makes latencies of its own, so only standing still fails, unless asked otherwise (at_most). `beside`: the
        period that is compared, if it is not all from hostile_from on."""
        until = time.monotonic()
        self.stop()
        check(not self.failures, f"the healthy client was refused {len(self.failures)} times: {self.failures[0] if self.failures else ''}")
        longest = self.longest(hostile_from, until)
        check(longest < 10, f"the healthy client waited {longest:.1f} s")
        return self.compare((quiet_from, hostile_from), beside or (hostile_from, until))

    def compare(self, alone, beside):
        """Two periods, each from and until."""
        quiet, hostile = self.p99(*alone), self.p99(*beside)
        text = f"healthy p99 {quiet:.2f} -> {hostile:.2f} ms ({hostile / max(quiet, 0.001):.1f}x, longest {self.longest(*beside) * 1000:.0f} ms)"
        check(hostile <= self.at_most * quiet, text)
        return text


def raise_file_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def discard(sock, stop):
    """Reads answers away on a thread of its own."""
    def run():
        try:
            while not stop.is_set() and sock.recv(1 << 18):
                pass
        except OSError:
            pass
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def ask(sock, code, ext, body=b"", opaque=1):
    """One request on a bare socket; the answer's header and body."""
    sock.sendall(frame(code, opaque, 0, ext, body))
    return read_answer(sock)


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            raise Lost("the connection ended")
        data += more
    return data


def read_answer(sock):
    length, = struct.unpack(">I", read_exactly(sock, 4))
    data = read_exactly(sock, length)
    header = struct.unpack(">I", data[:4])[0] & 0xFFFFFF
    return json.loads(data[4:4 + header]), data[4 + header:]


def words(length, mark, rest=b""):
    return struct.pack(">II", length & 0xFFFFFFFF, mark & 0xFFFFFFFF) + rest


def json_frame(header):
    header = header if isinstance(header, bytes) else header.encode()
    return words(4 + len(header), len(header), header)


def malformed(rng):
    """(name, bytes, what must follow): "close", "answer", or "any" of the two."""
    good = {"code": 34, "language": "JAVA", "version": 401, "opaque": 7, "flag": 0}
    send = frame(310, 7, 0, {"a": "g", "b": "T", "c": "TBW102", "d": 4, "e": 0, "f": 0, "g": 1, "h": 0, "i": "", "j": 0, "k": "false", "m": "false"}, b"body")
    yield "random bytes", bytes([rng.randrange(1, 0x16)]) + rng.randbytes(rng.randrange(8, 4000)), "close"
    yield "more random bytes", rng.randbytes(rng.randrange(8, 100_000)), "any"
    yield "a length of 4 GiB", words(0xFFFFFFFF, 10), "close"
    yield "a length of 2 GiB", words(0x7FFFFFFF, 10), "close"
    yield "a length of zero", words(0, 0), "close"
    yield "a length of three", words(3, 0), "close"
    yield "a header longer than its frame", words(100, 0xFFFF, b"x" * 96), "close"
    yield "a header of 15 MiB", words(15 << 20, (15 << 20) - 4), "close"
    yield "an unknown kind of header", words(104, 7 << 24 | 100, b"x" * 100), "close"
    yield "a header of nothing", words(4, 0), "close"
    yield "no JSON", json_frame(b"\xff\xfe no json"), "any"
    yield "text that is not UTF-8", json_frame(b'{"code":34,"opaque":7,"remark":"\xc3\x28"}'), "any"
    yield "JSON 100,000 deep", json_frame('{"opaque":7,"code":34,"extFields":' + "[" * 100_000 + "}"), "any"
    yield "JSON 60 deep", json_frame('{"code":34,"opaque":7,"x":' + "[" * 60 + "]" * 60 + "}"), "any"
    yield "a key twice", json_frame('{"code":34,"opaque":7,"code":35}'), "any"
    yield "5,000 fields", json_frame(json.dumps({**good, "extFields": {f"k{i}": "v" for i in range(5000)}})), "any"
    yield "a field of 100 KB", json_frame(json.dumps({**good, "extFields": {"k": "v" * 100_000}})), "any"
    yield "a code that is text", json_frame('{"code":"send","opaque":7}'), "any"
    yield "numbers out of range", json_frame('{"code":99999999999999999999,"opaque":7}'), "any"
    yield "an unknown code", json_frame(json.dumps({**good, "code": 31337})), "answer"
    yield "a heartbeat without a body", json_frame(json.dumps(good)), "answer"
    yield "a send without fields", json_frame(json.dumps({**good, "code": 310})), "answer"
    yield "a binary header of rubbish", words(104, 1 << 24 | 100, rng.randbytes(100)), "any"
    yield "an answer nobody asked for", json_frame(json.dumps({**good, "flag": 1})) + send, "answer"
    yield "half a frame", send[:len(send) // 2], "nothing"
    yield "HTTP", b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", "close"
    yield "a TLS hello", bytes.fromhex("16030100c8010000c4030300") + rng.randbytes(190), "close"
    flipped = bytearray(send)
    flipped[rng.randrange(4, len(flipped))] ^= 1 << rng.randrange(8)
    yield "a flipped bit", bytes(flipped), "any"
