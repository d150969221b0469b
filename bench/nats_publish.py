#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Publishes to a NATS JetStream stream (file storage, one replica) with a window of unacknowledged messages, as `halfmoon bench send` does, and writes
the same figures. Python suffices: many messages go out in one write, and acknowledgements are only counted. Latency is that of a window's
oldest message, by the wake-up that brought its acknowledgement."""
import argparse
import collections
import json
import os
import socket
import sys
import time

SUBJECT, INBOX = "bench.topic", "bench_inbox"


class Link:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.line()  # INFO
        self.socket.sendall(f'CONNECT {{"verbose":false,"pedantic":false}}\r\nSUB {INBOX} 1\r\nPING\r\n'.encode())
        while self.line() != b"PONG":
            pass

    def line(self):
        out = bytearray()
        while not out.endswith(b"\r\n"):
            byte = self.socket.recv(1)
            if not byte:
                sys.exit("nats_publish.py: the server closed the connection")
            out += byte
        return bytes(out[:-2])

    def request(self, subject, body):
        self.socket.sendall(f"PUB {subject} {INBOX} {len(body)}\r\n".encode() + body + b"\r\n")
        while not (head := self.line()).startswith(b"MSG "):
            pass
        size, answer = int(head.split()[-1]), b""
        while len(answer) < size + 2:
            answer += self.socket.recv(size + 2 - len(answer))
        return json.loads(answer)


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def publish(link, frame, count, window, latencies):
    """Keeps `window` messages under way until `count` are acknowledged."""
    sent_at = collections.deque()  # [time, messages]
    sent = done = 0

    def send(n):
        nonlocal sent
        if n > 0:
            sent_at.append([time.perf_counter(), n])
            link.socket.sendall(frame * n)
            sent += n

    send(min(window, count))
    tail = b""
    while done < count:
        data = link.socket.recv(1 << 18)
        if not data:
            sys.exit("nats_publish.py: the server closed the connection")
        if b'"error"' in data:
            sys.exit("nats_publish.py: refused: " + data.decode(errors="replace")[:300])
        acked = (tail + data).count(b'"seq":')
        tail = data[-5:]  # shorter than what is counted, so nothing counts twice
        done += acked
        now, left = time.perf_counter(), acked
        while left > 0:
            first = sent_at[0]
            taken = min(left, first[1])
            latencies.append((now - first[0], taken))
            first[1] -= taken
            left -= taken
            if first[1] == 0:
                sent_at.popleft()
        send(min(acked, count - sent))


def quantile(latencies, q):
    left = q * sum(n for _, n in latencies)
    for value, n in sorted(latencies):
        left -= n
        if left <= 0:
            return value * 1e6
    return 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-p", "--port", type=int, default=4222)
    parser.add_argument("-n", "--messages", type=int, default=1_000_000)
    parser.add_argument("--warmup", type=int, help="messages before those; default a tenth")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--broker-pid", action="append", default=[])
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    link = Link(options.port)
    made = link.request("$JS.API.STREAM.CREATE.BENCH", json.dumps(
        {"name": "BENCH", "subjects": [SUBJECT], "storage": "file", "num_replicas": 1, "retention": "limits", "discard": "old"}).encode())
    if "error" in made and made["error"].get("err_code") != 10058:  # it is there already
        sys.exit(f"nats_publish.py: {made['error']}")
    frame = f"PUB {SUBJECT} {INBOX} {options.size}\r\n".encode() + b"x" * options.size + b"\r\n"
    publish(link, frame, options.messages // 10 if options.warmup is None else options.warmup, options.in_flight, [])
    latencies, began, cpu, own = [], time.perf_counter(), cpu_seconds(options.broker_pid), time.thread_time()
    publish(link, frame, options.messages, options.in_flight, latencies)
    seconds = time.perf_counter() - began
    result = {"scenario": "nats", "setting": f"{options.size} byte bodies, JetStream, file storage, {options.in_flight} in flight", "invalid": "", "messages": options.messages,
              "seconds": seconds, "rate_per_s": options.messages / seconds, "p50_us": quantile(latencies, 0.5), "p99_us": quantile(latencies, 0.99), "refused": 0,
              "generator_cpu_share": (time.thread_time() - own) / seconds}
    if options.broker_pid:
        result["broker_cpu_s_per_million"] = (cpu_seconds(options.broker_pid) - cpu) * 1e6 / options.messages
    print(json.dumps(result))
    if options.json:
        with open(options.json, "w") as f:
            json.dump(result, f)


if __name__ == "__main__":
    main()
