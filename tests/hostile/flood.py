# SPDX-License-Identifier: Apache-2.0
"""Open-loop load: senders that keep to a schedule of twice the measured capacity and wait for nobody."""
import select
import struct
import threading
import time

from attackers import Wrong, check
from remoting import OK, Connection, frame

SENDERS, BODY, BUSY = 4, 8 << 10, 2
RECOVERY = 2.0     # seconds after the flood in which sending must be as before


class Sender(threading.Thread):
    """One connection, one queue of its own. What the socket does not take in time is dropped and counted: a sender that waited would not be
    an open loop."""

    def __init__(self, broker, topic, queue):
        super().__init__(daemon=True)
        self.socket = broker.connect()
        self.socket.setblocking(False)
        self.frame = frame(310, 1, 0, {"a": "flood", "b": topic, "c": "TBW102", "d": 4, "e": queue, "f": 0, "g": 1, "h": 0, "i": "", "j": 0, "k": "false",
                                       "m": "false"}, b"x" * BODY)
        self.rate, self.sent, self.dropped, self.codes, self.error = 0.0, 0, 0, {}, None
        self.left, self.input, self.stopping = b"", b"", False
        self.start()

    def run(self):
        try:
            self.loop()
        except OSError as e:
            self.error = e

    def loop(self):
        last, due = time.monotonic(), 0.0
        while not (self.stopping and self.answered() >= self.sent and not self.left):
            readable, writable, _ = select.select([self.socket], [self.socket] if self.left else [], [], 0.002)
            if readable:
                self.read()
            now = time.monotonic()
            due += (now - last) * (0 if self.stopping else self.rate)
            last = now
            n = int(due)
            due -= n
            if self.left and not writable:
                self.dropped += n
                continue
            if not self.left and n:
                n_now = min(n, 256)
                self.dropped += n - n_now
                self.sent += n_now
                self.left = self.frame * n_now
            elif n:
                self.dropped += n
            if self.left:
                try:
                    self.left = self.left[self.socket.send(self.left):]
                except BlockingIOError:
                    pass

    def read(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionResetError("the broker ended the connection")
        self.input += data
        at = 0
        while len(self.input) - at >= 4:
            length, = struct.unpack_from(">I", self.input, at)
            if len(self.input) - at < 4 + length:
                break
            header = self.input[at + 8:at + 4 + length]
            begin = header.index(b'"code":') + 7
            end = begin
            while header[end:end + 1].isdigit():
                end += 1
            code = int(header[begin:end])
            self.codes[code] = self.codes.get(code, 0) + 1
            at += 4 + length
        self.input = self.input[at:]

    def answered(self):
        return sum(self.codes.values())


def acknowledged(senders):
    return sum(s.codes.get(OK, 0) for s in senders)


def flood(broker, seconds):
    with Connection(broker.address) as c:
        c.create_topic("Flood", SENDERS)
        c.create_topic("Probe")
    senders = [Sender(broker, "Flood", q) for q in range(SENDERS)]
    # The capacity: as much as it takes when there is always more.
    for s in senders:
        s.rate = 1e6
    time.sleep(1)
    before, began = acknowledged(senders), time.monotonic()
    time.sleep(2)
    capacity = (acknowledged(senders) - before) / (time.monotonic() - began)
    check(capacity > 0, "nothing was acknowledged")
    for s in senders:
        s.rate = 2 * capacity / SENDERS
    time.sleep(1)
    broker.forget_peak()
    start = broker.memory()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.5)
        if broken := [s.error for s in senders if s.error]:
            raise Wrong(f"a sender lost its connection: {broken[0]}")
    peak = broker.memory("VmHWM")
    for s in senders:
        s.stopping = True
    stopped = time.monotonic()
    with Connection(broker.address, timeout=20) as c:
        times = []
        while time.monotonic() < stopped + RECOVERY:
            began = time.monotonic()
            answer = c.send("Probe", b"x")
            check(answer.code == OK, f"after the flood: {answer.code} {answer.remark}")
            times.append(time.monotonic() - began)
            time.sleep(0.005)
        for s in senders:
            s.join(30)
        codes = {}
        for s in senders:
            check(not s.is_alive() and s.error is None, f"a sender has {s.sent - s.answered()} sends without an answer; {s.error}")
            for code, n in s.codes.items():
                codes[code] = codes.get(code, 0) + n
        check(set(codes) <= {OK, BUSY}, f"refused with other codes than SYSTEM_BUSY: {codes}")
        for queue, s in enumerate(senders):
            stored = int(c.request(30, {"topic": "Flood", "queueId": queue}).ext["offset"])
            check(stored == s.codes.get(OK, 0), f"queue {queue}: {s.codes.get(OK, 0)} acknowledged, {stored} stored")
            s.socket.close()
    # An hour's growth would be told by a slope; here it is the peak over what it held when the flood began.
    check(peak - start < 64, f"memory grew from {start:.0f} to {peak:.0f} MiB")
    first = times[0] * 1000
    times.sort()
    dropped = sum(s.dropped for s in senders)
    return f"{seconds:.0f} s at twice {capacity:.0f}/s of {BODY} bytes: {codes.get(OK, 0)} acknowledged and all stored, {codes.get(BUSY, 0)} told busy, {dropped} that the " \
           f"socket did not take; memory {start:.0f} -> {peak:.0f} MiB; then first send {first:.1f}, p99 {times[int(len(times) * 0.99)] * 1000:.1f} ms"
