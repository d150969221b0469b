# SPDX-License-Identifier: Apache-2.0
"""A small raw client of RocketMQ's remoting protocol, and a server under test to use it on. Nothing is retried and nothing is hidden:
an answer is returned as it came, a lost connection is Lost, no answer in time is Late."""
import itertools
import json
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time
from collections import namedtuple

SEND_SHORT, PULL, QUERY_OFFSET, COMMIT_OFFSET, CREATE_TOPIC, HEARTBEAT = 310, 11, 14, 15, 17, 34
SEND_BACK, END_TRANSACTION, CHECK, BATCH_SEND, RESUME_CHECK, MAX_OFFSET, MIN_OFFSET = 36, 37, 39, 320, 323, 30, 31
LOCK, UNLOCK, DELETE_TOPIC = 41, 42, 215
COMMIT, ROLLBACK, UNKNOWN = 8, 12, 0
OK, PULL_NOT_FOUND, PULL_RETRY, PULL_MOVED = 0, 19, 20, 21


class Lost(ConnectionError):
    """The connection is gone: whether the request had an effect is not known."""


class Late(Exception):
    """No answer in time."""


Answer = namedtuple("Answer", "code remark ext body")
Incoming = namedtuple("Incoming", "code ext body flag opaque")
Record = namedtuple("Record", "topic queue offset position store_ms born_ms body properties reconsume prepared sys_flag flag")
Pulled = namedtuple("Pulled", "code next min max records remark")


# ---------------------------------------------------------------- bytes


def properties(values):
    return "".join(f"{k}\x01{v}\x02" for k, v in values.items())


def parse_properties(text):
    return dict(pair.split("\x01", 1) for pair in text.split("\x02") if "\x01" in pair)


def frame(code, opaque, flag, ext, body=b""):
    header = json.dumps({"code": code, "language": "PYTHON", "version": 401, "opaque": opaque, "flag": flag,
                         "extFields": {k: str(v) for k, v in ext.items()}}).encode()
    return struct.pack(">II", 4 + len(header) + len(body), len(header)) + header + body


def batch_body(messages):
    """messages: (body, properties) pairs."""
    out = []
    for body, props in messages:
        p = properties(props).encode()
        out.append(struct.pack(">iiiii", 22 + len(body) + len(p), 0, 0, 0, len(body)) + body + struct.pack(">H", len(p)) + p)
    return b"".join(out)


def records(data):
    """The records of a pull's body or of a check (specification 2.1, V1)."""
    out, at = [], 0
    while at < len(data):
        total, magic = struct.unpack_from(">II", data, at)
        if magic != 0xDAA320A7:
            raise ValueError(f"record at byte {at} has magic {magic:#x}")
        queue, flag, offset, position, sys_flag, born = struct.unpack_from(">iiqqiq", data, at + 12)
        p = at + 48 + (20 if sys_flag & 16 else 8)
        store_ms, = struct.unpack_from(">q", data, p)
        p += 8 + (20 if sys_flag & 32 else 8)
        reconsume, prepared, length = struct.unpack_from(">iqi", data, p)
        p += 16
        body = data[p:p + length]
        p += length
        topic = data[p + 1:p + 1 + data[p]].decode()
        p += 1 + data[p]
        length, = struct.unpack_from(">H", data, p)
        props = parse_properties(data[p + 2:p + 2 + length].decode())
        if p + 2 + length != at + total:
            raise ValueError(f"record at byte {at} says {total} bytes and has {p + 2 + length - at}")
        out.append(Record(topic, queue, offset, position, store_ms, born, body, props, reconsume, prepared, sys_flag, flag))
        at += total
    return out


def position_of(message_id):
    """The log position inside an offset message id."""
    return int(message_id[-16:], 16)


KEYS = itertools.count(random.getrandbits(32) << 24)


def unique_key():
    return f"{random.getrandbits(32):08X}{next(KEYS):024X}"[-32:]


def now_ms():
    return time.time_ns() // 1_000_000


# ---------------------------------------------------------------- the connection


class Pending:
    __slots__ = ("done", "answer", "then")

    def __init__(self, then):
        self.done, self.answer, self.then = threading.Lock(), None, then
        self.done.acquire()

    def finish(self, answer):
        self.answer = answer
        if self.then:
            self.then(answer)
        self.done.release()


class Connection:
    """on_request(connection, Incoming) is called on the reading thread: it may send, it must not wait for an answer.

    When `generation` grows, no connection made before hears anything any more: what comes on it is dropped, and it is lost. That is how a
    test draws a line behind which no answer counts."""

    generation = 0

    def __init__(self, address, on_request=None, timeout=10.0):
        host, port = address.rsplit(":", 1)
        self.timeout, self.on_request, self.client_id = timeout, on_request, f"raw@{unique_key()}"
        try:
            self.socket = socket.create_connection((host, int(port)), timeout)
        except OSError as e:
            raise Lost(f"cannot connect to {address}: {e}") from None
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending, self.incoming, self.closed, self.born = {}, [], False, Connection.generation
        self.lock, self.writing = threading.Lock(), threading.Lock()
        self.opaques = itertools.count(1)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.reader.join(2)
        self.socket.close()

    # what goes out

    def start(self, code, ext, body=b"", then=None):
        """Sends a request; then(answer) is called on the reading thread, with None when the connection is lost."""
        waiting, opaque = Pending(then), next(self.opaques)
        with self.lock:
            if self.closed:
                raise Lost("connection is closed")
            self.pending[opaque] = waiting
        self._write(frame(code, opaque, 0, ext, body))
        return waiting

    def request(self, code, ext, body=b"", timeout=None):
        waiting = self.start(code, ext, body)
        if not waiting.done.acquire(timeout=timeout or self.timeout):
            raise Late(f"no answer to request {code} in {timeout or self.timeout} s")
        if waiting.answer is None:
            raise Lost(f"connection lost before the answer to request {code}")
        return waiting.answer

    def one_way(self, code, ext, body=b""):
        self._write(frame(code, next(self.opaques), 2, ext, body))

    def _write(self, data):
        try:
            with self.writing:
                self.socket.sendall(data)
        except OSError as e:
            raise Lost(f"connection lost while writing: {e}") from None

    # what comes in

    def _read(self):
        try:
            stream = self.socket.makefile("rb", 1 << 16)
            while True:
                head = stream.read(8)
                if len(head) < 8:
                    break
                total, header_length = struct.unpack(">II", head)
                header_length &= 0xFFFFFF
                data = stream.read(total - 4)
                if len(data) < total - 4 or self.born != Connection.generation:
                    break
                header = json.loads(data[:header_length])
                ext, body = header.get("extFields") or {}, data[header_length:]
                if header["flag"] & 1:
                    with self.lock:
                        waiting = self.pending.pop(header["opaque"], None)
                    if waiting:
                        waiting.finish(Answer(header["code"], header.get("remark") or "", ext, body))
                else:
                    request = Incoming(header["code"], ext, body, header["flag"], header["opaque"])
                    self.incoming.append((time.monotonic(), request))
                    if self.on_request:
                        self.on_request(self, request)
        except (OSError, ValueError):
            pass
        with self.lock:
            self.closed = True
            left, self.pending = self.pending, {}
        for waiting in left.values():
            waiting.finish(None)

    # requests by name

    @staticmethod
    def topic_header(topic, queues=1):
        return {"topic": topic, "defaultTopic": "TBW102", "readQueueNums": queues, "writeQueueNums": queues, "perm": 6,
                "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0, "order": "false"}

    def create_topic(self, topic, queues=1):
        answer = self.request(CREATE_TOPIC, self.topic_header(topic, queues))
        if answer.code != OK:
            raise RuntimeError(f"create topic {topic}: {answer.code} {answer.remark}")
        return topic

    def heartbeat(self, producer=None, consumer=None, topics=()):
        subscriptions = [{"classFilterMode": False, "topic": t, "subString": "*", "tagsSet": [], "codeSet": [], "subVersion": 0,
                          "expressionType": "TAG"} for t in topics]
        consumers = [{"groupName": consumer, "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
                      "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET", "subscriptionDataSet": subscriptions, "unitMode": False}] if consumer else []
        body = {"clientID": self.client_id, "producerDataSet": [{"groupName": producer}] if producer else [], "consumerDataSet": consumers,
                "heartbeatFingerprint": 0, "withoutSub": False}
        return self.request(HEARTBEAT, {}, json.dumps(body).encode())

    def delete_topic(self, topic):
        return self.request(DELETE_TOPIC, {"topic": topic})

    def lock_queues(self, group, queues):
        """queues: (topic, queue id) pairs; returns those that this client holds now."""
        answer = self.request(LOCK, {}, self._lock_body(group, queues))
        return [(q["topic"], q["queueId"]) for q in json.loads(answer.body)["lockOKMQSet"]] if answer.code == OK else []

    def unlock_queues(self, group, queues):
        return self.request(UNLOCK, {}, self._lock_body(group, queues))

    def _lock_body(self, group, queues):
        named = [{"topic": topic, "brokerName": "broker-a", "queueId": queue} for topic, queue in queues]
        return json.dumps({"consumerGroup": group, "clientId": self.client_id, "onlyThisBroker": False, "mqSet": named}).encode()

    @staticmethod
    def send_header(topic, queue, props, group="raw", batch=False, reconsume=0, born_ms=None):
        return {"a": group, "b": topic, "c": "TBW102", "d": 4, "e": queue, "f": 4 if props.get("TRAN_MSG") == "true" else 0,
                "g": now_ms() if born_ms is None else born_ms, "h": 0, "i": properties(props), "j": reconsume, "k": "false", "l": 16,
                "m": "true" if batch else "false"}

    def send(self, topic, body, props=None, queue=0, group="raw", **more):
        return self.request(SEND_SHORT, self.send_header(topic, queue, props or {}, group, **more), body)

    def half(self, topic, body, group, props=None, queue=0, **more):
        """A half message; the answer's msgId holds its position, queueOffset its number."""
        props = {"TRAN_MSG": "true", "PGROUP": group, "UNIQ_KEY": unique_key(), **(props or {})}
        answer = self.send(topic, body, props, queue, group, **more)
        return Half(answer, group, topic, props["UNIQ_KEY"])

    def end(self, half, verdict, from_check=False, one_way=False, timeout=None, **replaced):
        """END_TRANSACTION; `replaced` are header fields to send instead of the right ones."""
        ext = {**half.end_header(verdict, from_check), **replaced}
        ext = {k: v for k, v in ext.items() if v is not None}
        if one_way:
            return self.one_way(END_TRANSACTION, ext)
        return self.request(END_TRANSACTION, ext, timeout=timeout)

    def answer_check(self, request, group, verdict):
        """What a client sends for a check: one-way, every name copied from the question."""
        e = request.ext
        self.one_way(END_TRANSACTION, {"producerGroup": group, "tranStateTableOffset": e["tranStateTableOffset"], "commitLogOffset": e["commitLogOffset"],
                                       "commitOrRollback": verdict, "fromTransactionCheck": "true", "msgId": e.get("msgId", ""),
                                       "transactionId": e.get("transactionId", "")})

    def pull(self, group, topic, queue, offset, count=32, suspend_ms=0):
        sys_flag = 4 | (2 if suspend_ms else 0)
        a = self.request(PULL, {"consumerGroup": group, "topic": topic, "queueId": queue, "queueOffset": offset, "maxMsgNums": count, "sysFlag": sys_flag,
                                "commitOffset": 0, "suspendTimeoutMillis": suspend_ms, "subscription": "*", "subVersion": 0, "expressionType": "TAG"},
                         timeout=self.timeout + suspend_ms / 1000)
        number = lambda name: int(a.ext.get(name, -1))
        return Pulled(a.code, number("nextBeginOffset"), number("minOffset"), number("maxOffset"), records(a.body) if a.code == OK else [], a.remark)

    def drain(self, group, topic, queue):
        """Everything in the queue now, from its first offset."""
        out, offset = [], int(self.request(MIN_OFFSET, {"topic": topic, "queueId": queue}).ext.get("offset", 0))
        while True:
            got = self.pull(group, topic, queue, offset, 256)
            if got.code not in (OK, PULL_NOT_FOUND, PULL_RETRY, PULL_MOVED):
                raise RuntimeError(f"pull of {topic}/{queue} at {offset}: {got.code} {got.remark}")
            out += got.records
            if got.code == PULL_NOT_FOUND or got.next <= offset:
                return out
            offset = got.next

    def query_offset(self, group, topic, queue):
        a = self.request(QUERY_OFFSET, {"consumerGroup": group, "topic": topic, "queueId": queue, "setZeroIfNotFound": "false"})
        return int(a.ext["offset"]) if a.code == OK else None

    def commit_offset(self, group, topic, queue, offset):
        return self.request(COMMIT_OFFSET, {"consumerGroup": group, "topic": topic, "queueId": queue, "commitOffset": offset})

    @staticmethod
    def send_back_header(group, record, level=1):
        return {"group": group, "offset": record.position, "delayLevel": level, "originMsgId": record.properties.get("UNIQ_KEY", ""),
                "originTopic": record.topic, "unitMode": "false", "maxReconsumeTimes": 16}

    def send_back(self, group, record, level=1):
        return self.request(SEND_BACK, self.send_back_header(group, record, level))


class Half:
    def __init__(self, answer, group, topic, key):
        self.answer, self.group, self.topic, self.key = answer, group, topic, key
        self.position = position_of(answer.ext["msgId"]) if answer.ext.get("msgId") else -1
        self.offset = int(answer.ext.get("queueOffset", -1))

    def end_header(self, verdict, from_check=False):
        return {"producerGroup": self.group, "tranStateTableOffset": self.offset, "commitLogOffset": self.position, "commitOrRollback": verdict,
                "fromTransactionCheck": "true" if from_check else "false", "msgId": self.key, "transactionId": self.key}


# ---------------------------------------------------------------- the program under test


def free_port(distances=(0,)):
    """A random port below the range of outgoing connections that is free, as are those at the distances from it."""
    while True:
        port = random.SystemRandom().randrange(12000, 30000)
        try:
            for distance in distances:
                with socket.socket() as s:
                    s.bind(("127.0.0.1", port + distance))
            return port
        except OSError:
            continue


class Server:
    """Halfmoon in a folder of its own, on loopback; stop, kill and start again on the same data and ports."""

    def __init__(self, program, folder, **settings):
        self.program, self.folder, self.process = program, folder, None
        os.makedirs(folder)
        self.port = free_port((0, -2))
        self.ns_port = free_port()
        while self.ns_port in (self.port, self.port - 2):
            self.ns_port = free_port()
        self.address, self.ns = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.ns_port}"
        self.log = os.path.join(folder, "log")
        self.settings = {"storePathRootDir": os.path.join(folder, "store"), "listenPort": self.port, "namesrvListenPort": self.ns_port,
                         "bindAddress": "127.0.0.1", "brokerClusterName": "DefaultCluster", "brokerName": "broker-a", **settings}

    def launch(self, **settings):
        self.settings.update(settings)
        config = os.path.join(self.folder, "broker.conf")
        with open(config, "w") as f:
            f.writelines(f"{k}={v}\n" for k, v in self.settings.items())
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.program, "server", "-c", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)

    def wait_until_up(self, limit=30):
        deadline = time.monotonic() + limit
        while True:
            with socket.socket() as s:
                s.settimeout(1)
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            if self.process.poll() is not None:
                raise RuntimeError(f"the server did not start: exit code {self.process.returncode}\n{self.tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server's port did not open in {limit} s\n{self.tail()}")
            time.sleep(0.005)

    def start(self, **settings):
        self.launch(**settings)
        return self.wait_until_up()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def stop(self, limit=10):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def tail(self, lines=15):
        try:
            with open(self.log, errors="replace") as f:
                return "".join("    | " + line for line in f.readlines()[-lines:])
        except OSError:
            return ""
