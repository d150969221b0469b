#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Captures what the real clients send and makes inputs for the fuzz targets of it.

Runs some cases of tests/e2e/run.py with this script in the server's place: it starts the real program on other ports, listens on those that
the clients know, passes everything on and writes down what clients said. Then it writes captured-... files into tests/fuzz/corpus: whole
conversations for `dispatch`, headers and bodies for the codecs; and records and a snapshot that the program wrote. What is there already is
not written again; `run.py --merge` keeps the corpora small.

    tests/fuzz/capture.py                              # the cases below, with build/release/halfmoon
    tests/fuzz/capture.py --only go-2.1.2/tx-delay"""
import argparse
import hashlib
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "raw"))
import remoting  # noqa: E402
CASES = [f"{client}/{case}" for client in ("go-2.1.2", "java-4.9.4", "java-5.3.3")
         for case in ("sync", "batch", "oneway", "tags", "ordered-by-key", "delay-levels", "tx-commit-rollback", "tx-check-commit", "retry", "pull*",
                      "lite-pull", "request-reply", "admin*", "broadcast", "resume")]
ADVANCE, CONNECTION = 32000, 32001   # frames for the harness, src/adapter/remoting/dispatch_fuzz.cc
DISPATCH_BYTES_MAX = 8000
INPUT_BYTES_MAX = 4000


# ---------------------------------------------------------------- in the server's place


def settings_of(path):
    lines = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {key: value for key, value in lines}


def free_port():
    """One with five digits, so that addresses in answers keep their length."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            if s.getsockname()[1] >= 10000:
                return s.getsockname()[1]


class Proxy:
    """Ports that clients know -> ports of the real program. Answers name the former."""

    def __init__(self, ports, output):
        self.ports, self.output, self.lock, self.connections = ports, output, threading.Lock(), 0
        self.renamed = [(f"127.0.0.1:{real}".encode(), f"127.0.0.1:{known}".encode()) for known, real in ports.items()]
        for known, real in ports.items():
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", known))
            listener.listen(64)
            threading.Thread(target=self.accept, args=(listener, real), daemon=True).start()

    def accept(self, listener, real):
        while True:
            client, _ = listener.accept()
            server = socket.socket()
            try:
                server.connect(("127.0.0.1", real))
            except OSError:
                client.close()
                continue
            with self.lock:
                self.connections += 1
                number = self.connections
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.carry, args=(client, server, number, True), daemon=True).start()
            threading.Thread(target=self.carry, args=(server, client, number, False), daemon=True).start()

    def carry(self, source, target, number, from_client):
        try:
            while data := source.recv(1 << 16):
                if from_client:
                    with self.lock:
                        self.output.write(struct.pack("<dII", time.time(), number, len(data)) + data)
                        self.output.flush()
                else:
                    for real, known in self.renamed:
                        data = data.replace(real, known)
                target.sendall(data)
        except OSError:
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def stand_in(config):
    """What run.py starts as the server. Ends when it is told to, with the real program's exit code."""
    values = settings_of(config)
    broker, name_server = int(values["listenPort"]), int(values["namesrvListenPort"])
    real_broker, real_name_server = free_port(), free_port()
    values.update(listenPort=str(real_broker), namesrvListenPort=str(real_name_server))
    behind = config.with_name("behind.conf")
    behind.write_text("".join(f"{k}={v}\n" for k, v in values.items()))
    program = subprocess.Popen([os.environ["HALFMOON_PROGRAM"], "server", "-c", str(behind)])
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", real_broker)) == 0:
                break
        time.sleep(0.05)
    folder = pathlib.Path(os.environ["HALFMOON_CAPTURE"])
    with open(folder / f"{os.getpid()}.capture", "wb") as output:
        Proxy({broker: real_broker, broker - 2: real_broker - 2, name_server: real_name_server}, output)
        signal.signal(signal.SIGTERM, lambda *_: program.terminate())
        code = program.wait()
    os._exit(code)


def short_life(program, folder):
    """A data directory with a record of almost every type, and a snapshot: the program's own, asked for by raw requests."""
    server = remoting.Server(str(program), str(folder / "life"), transactionTimeOut=300, transactionCheckInterval=300, transactionCheckMax=2)
    server.launch()
    server.wait_until_up()

    def answer(connection, request):
        if request.code == remoting.CHECK:
            connection.answer_check(request, "PG", remoting.UNKNOWN)

    with remoting.Connection(server.address, on_request=answer) as client:
        client.create_topic("T", 2)
        client.create_topic("gone", 1)
        client.heartbeat(producer="PG", consumer="CG", topics=("T", "%RETRY%CG"))
        for i in range(4):
            client.send("T", b"body", {"TAGS": "a", "KEYS": "k"}, queue=i % 2)
        client.send("T", b"later", {"DELAY": "3"})
        client.send("gone", b"lost")
        for verdict in (remoting.COMMIT, remoting.ROLLBACK):
            client.end(client.half("T", b"half", "PG"), verdict)
        client.end(client.half("T", b"half with a delay", "PG", {"DELAY": "2"}), remoting.COMMIT)
        client.half("T", b"never decided", "PG")
        records = client.drain("CG", "T", 0)
        client.send_back("CG", records[0], level=1)
        client.send_back("CG", records[0], level=-1)
        client.commit_offset("CG", "T", 0, 1)
        client.delete_topic("gone")
        time.sleep(3)  # the open half message is asked for and parked, delays fire
        client.half("T", b"open", "PG")
    server.process.terminate()
    server.process.wait(30)
    return folder / "life" / "store"


# ---------------------------------------------------------------- from streams to inputs


def split_frames(data):
    """(frame, type, header, body) of each whole frame, and what is left."""
    frames = []
    while len(data) >= 8:
        length, mark = struct.unpack(">II", data[:8])
        if len(data) < 4 + length:
            break
        header_bytes = mark & 0xFFFFFF
        frames.append((data[:4 + length], mark >> 24, data[8:8 + header_bytes], data[8 + header_bytes:4 + length]))
        data = data[4 + length:]
    return frames, data


def control(code, number):
    header = json.dumps({"code": code, "opaque": number}, separators=(",", ":")).encode()
    return struct.pack(">II", 4 + len(header), len(header)) + header


class Corpus:
    def __init__(self):
        self.written = 0

    def add(self, target, data, who):
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"captured-{who}-{hashlib.sha1(data).hexdigest()[:10]}"
        if not path.exists():
            path.write_bytes(data)
            self.written += 1


def client_of(header):
    language, version = header.get("language", "unknown"), header.get("version", 0)
    return f"{language}-{version}".lower()


def read_capture(path):
    """(seconds, connection, bytes) in order."""
    data, events = path.read_bytes(), []
    while len(data) >= 16:
        at, number, size = struct.unpack("<dII", data[:16])
        events.append((at, number, data[16:16 + size]))
        data = data[16 + size:]
    return events


def take_frames(corpus, events):
    """Each frame's parts go to the codecs' corpora, once for each client, code and set of fields."""
    pending, conversation, seen, last = {}, [], set(), None
    for at, number, data in events:
        frames, pending[number] = split_frames(pending.get(number, b"") + data)
        for frame, kind, header, body in frames:
            try:
                parsed = json.loads(header) if kind == 0 else {}
            except ValueError:
                parsed = {}
            fields = parsed.get("extFields") or {}
            who, code = client_of(parsed), parsed.get("code", 0)
            shape = (who, code, tuple(sorted(fields)), parsed.get("flag", 0))
            if last is not None and at - last > 0.5:
                conversation.append((None, control(ADVANCE, int((at - last) * 1000)), None))
            last = at
            conversation.append((number, frame, shape))
            if shape in seen:
                continue
            seen.add(shape)
            if len(header) < INPUT_BYTES_MAX:
                corpus.add("header", bytes([kind]) + header, who)
                corpus.add("request_headers", bytes([kind]) + header, who)
            if body and len(body) < INPUT_BYTES_MAX:
                if code in (34, 41, 42, 46, 200):
                    corpus.add("client_bodies", body, f"{who}-{code}")
                    corpus.add("json", body, f"{who}-{code}")
                if code == 320:
                    corpus.add("batch", body, who)
            text = fields.get("i") or fields.get("properties")
            if text:
                corpus.add("properties", text.encode()[:INPUT_BYTES_MAX], who)
    return conversation


def take_conversation(corpus, conversation):
    """Pieces of what all clients said, with the harness's own frames between; a piece that says nothing new is left out."""
    known, piece, news, speaking = set(), b"", set(), None
    for number, frame, shape in conversation:
        if number is not None and number != speaking:
            speaking = number
            frame = control(CONNECTION, number % 3) + frame
        if len(frame) > DISPATCH_BYTES_MAX // 2:
            continue
        if len(piece) + len(frame) > DISPATCH_BYTES_MAX:
            if news:
                corpus.add("dispatch", b"\0" + piece, next(iter(sorted(news)))[0])
            piece, news = b"", set()
        piece += frame
        if shape is not None and shape not in known:
            known.add(shape)
            news.add(shape)
    if news:
        corpus.add("dispatch", b"\0" + piece, next(iter(sorted(news)))[0])
    frames = b"".join(frame for number, frame, _ in conversation[:12] if number is not None)[:1800]
    corpus.add("frame", bytes([0, 8, 1, 3, 7, 60, 0, 200, 5, 90]) + frames, "stream")


# The decoder in src/broker/records_fuzz.cc that reads a record of this type (docs/formats/log.md); images: 11.
DECODERS = {2: 11, 3: 11, 5: 0, 6: 1, 7: 2, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7, 14: 8, 15: 10, 16: 9}


def take_records(corpus, segment):
    data, at, count = segment.read_bytes(), 4096, {}
    while at + 16 <= len(data):
        _, length, _, kind = struct.unpack("<IIIB", data[at:at + 13])
        if kind == 0:
            break
        payload = data[at + 16:at + 16 + length]
        at += 16 + (24 if kind == 1 else (length + 7) // 8 * 8)
        decoder = DECODERS.get(kind)
        count[kind] = count.get(kind, 0) + 1
        if decoder is not None and count[kind] <= 6 and len(payload) < 2000:
            corpus.add("records", bytes([decoder]) + payload, f"type-{kind}")


def take_store(corpus, store):
    for path in sorted(store.glob("*.seg")):
        take_records(corpus, path)
    for path in sorted(store.glob("snapshot-*")):
        corpus.add("snapshot", b"\2" + path.read_bytes(), "file")
        corpus.add("snapshot", b"\0" + path.read_bytes()[48:], "payload")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="CASE", help="cases of tests/e2e/run.py instead of the usual ones; empty: none")
    parser.add_argument("--server", default=ROOT / "build" / "release" / "halfmoon", help="the halfmoon program")
    parser.add_argument("--keep", metavar="FOLDER", help="put the raw captures here")
    options = parser.parse_args()
    corpus = Corpus()
    folder = pathlib.Path(options.keep or tempfile.mkdtemp(prefix="halfmoon-capture-"))
    folder.mkdir(exist_ok=True)
    for case in CASES if options.only is None else filter(None, options.only):
        environment = {**os.environ, "HALFMOON_PROGRAM": str(pathlib.Path(options.server).resolve()), "HALFMOON_CAPTURE": str(folder)}
        done = subprocess.run([sys.executable, ROOT / "tests/e2e/run.py", "--only", case, "--server", HERE / "capture.py"], env=environment,
                              capture_output=True, text=True, check=False)
        lines = done.stdout.strip().splitlines()
        print(f"{case}: {lines[-1] if lines else 'nothing ran'}", flush=True)
    for path in sorted(folder.glob("*.capture")):
        take_conversation(corpus, take_frames(corpus, read_capture(path)))
    with tempfile.TemporaryDirectory() as life:
        store = short_life(pathlib.Path(options.server).resolve(), pathlib.Path(life))
        take_store(corpus, store)
    print(f"{corpus.written} new inputs; the raw captures are in {folder}")
    return 0 if corpus.written else 1


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1:3] == ["server", "-c"]:
        stand_in(pathlib.Path(sys.argv[3]))
    sys.exit(main())
