#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk with a volatile write cache, as a FUSE file system with one file in it, `image`, for a loop device to lie on.

    volatile.py MOUNTPOINT DURABLE CACHED

DURABLE is what survives, CACHED what a reader sees; both are files of the same content at first. A write goes to CACHED and is remembered; a
sync brings what is remembered to DURABLE. Commands come on standard input, a line each, and are answered with a line:

    cut SEED   the power fails when the next sync begins (at once, if none does in 20 ms): each remembered write survives as a whole, in
               some of its 512-byte sectors, or not at all; from now on every call fails. Answers how many sectors were kept and lost
    on         the power is back
    fail N     after N more syncs the next one fails, as do all after it until "on"; what it should have written is gone
    lie        from now on a sync does nothing and reports success
    slow MS    every sync takes so much longer

It ends when it is unmounted. It speaks the kernel's FUSE protocol (version 7) itself, so that nothing has to be installed."""
import ctypes
import errno
import os
import random
import select
import stat
import struct
import sys
import time

SECTOR = 512
LARGEST = 1 << 20
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, OPENDIR = 1, 2, 3, 4, 14, 15, 16, 17, 18, 20, 25, 26, 27
RELEASEDIR, ACCESS, INTERRUPT, DESTROY, BATCH_FORGET = 29, 34, 36, 38, 42
BIG_WRITES, MAX_PAGES = 1 << 5, 1 << 22
NO_ANSWER = object()


class Disk:
    def __init__(self, durable, cached):
        self.durable, self.cached = (os.open(f, os.O_RDWR) for f in (durable, cached))
        self.size = os.fstat(self.cached).st_size
        self.waiting, self.off, self.lies, self.slow, self.fail_in = [], False, False, 0.0, None
        self.cut_seed, self.cut_at = None, 0.0

    def read(self, offset, size):
        return os.pread(self.cached, size, offset)

    def write(self, offset, data):
        os.pwrite(self.cached, data, offset)
        self.waiting.append((offset, data))

    def sync(self):
        if self.cut_seed is not None:
            self.cut()
            raise OSError(errno.EIO, "there is no power")
        time.sleep(self.slow)
        if self.lies:
            return
        if self.fail_in is not None:
            self.fail_in -= 1
            if self.fail_in < 0:
                self.forget()
                raise OSError(errno.EIO, "the sync fails")
        for offset, data in self.waiting:
            os.pwrite(self.durable, data, offset)
        self.waiting = []

    def cut(self):
        """What is lost differs from cut to cut: everything, whole writes, or single sectors, in any order."""
        dice, kept, lost = random.Random(self.cut_seed), 0, 0
        keep_write, keep_sector = dice.choice(((0, 0), (0.5, 1), (0.9, 1), (0.5, 0.5), (1, 0.5), (1, 0.95)))
        for offset, data in self.waiting:
            survives = dice.random() < keep_write
            for at in range(0, len(data), SECTOR):
                if survives and dice.random() < keep_sector:
                    os.pwrite(self.durable, data[at:at + SECTOR], offset + at)
                    kept += 1
                else:
                    lost += 1
        self.forget()
        self.off, self.cut_seed = True, None
        print(kept, lost, flush=True)

    def forget(self):
        """A reader sees again what is durable."""
        for offset, data in self.waiting:
            os.pwrite(self.cached, os.pread(self.durable, len(data), offset), offset)
        self.waiting = []

    def command(self, line):
        word, *values = line.split()
        if word == "cut":
            self.cut_seed, self.cut_at = int(values[0]), time.monotonic() + 0.02
            return
        if word == "on":
            self.off, self.fail_in = False, None
        elif word == "fail":
            self.fail_in = int(values[0])
        elif word == "lie":
            self.lies = True
        elif word == "slow":
            self.slow = int(values[0]) / 1000
        else:
            word = "what?"
        print(word, flush=True)


def attributes(node, size):
    """struct fuse_attr"""
    mode = stat.S_IFDIR | 0o755 if node == 1 else stat.S_IFREG | 0o600
    return struct.pack("<QQQQQQIIIIIIIIII", node, 0 if node == 1 else size, size // SECTOR, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def serve(disk, opcode, node, body):
    """The answer's bytes. Raises OSError."""
    if opcode == INIT:
        major, minor, ahead, flags = struct.unpack_from("<IIII", body)
        return struct.pack("<IIIIHHIIHHI28x", 7, min(minor, 31), ahead, flags & (BIG_WRITES | MAX_PAGES), 16, 12, LARGEST, 1, LARGEST // 4096, 0, 0)
    if opcode == LOOKUP:
        if body.rstrip(b"\0") != b"image":
            raise OSError(errno.ENOENT, "")
        return struct.pack("<QQQQII", 2, 0, 3600, 3600, 0, 0) + attributes(2, disk.size)
    if opcode in (GETATTR, SETATTR):
        return struct.pack("<QII", 3600, 0, 0) + attributes(node, disk.size)
    if opcode in (OPEN, OPENDIR):
        return struct.pack("<QIi", 1, 0, 0)  # without KEEP_CACHE: who opens it anew sees what the disk has
    if opcode == STATFS:
        return struct.pack("<QQQQQIIII24x", 1 << 20, 1 << 20, 1 << 20, 1, 1, 4096, 255, 4096, 0)
    if opcode in (READ, WRITE, FSYNC) and disk.off:
        raise OSError(errno.EIO, "there is no power")
    if opcode == READ:
        _, offset, size = struct.unpack_from("<QQI", body)
        return disk.read(offset, size)
    if opcode == WRITE:
        _, offset, size = struct.unpack_from("<QQI", body)
        disk.write(offset, bytes(body[40:40 + size]))
        return struct.pack("<II", size, 0)
    if opcode == FSYNC:
        disk.sync()
        return b""
    if opcode in (RELEASE, RELEASEDIR, FLUSH, ACCESS, DESTROY):
        return b""
    if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
        return NO_ANSWER
    raise OSError(errno.ENOSYS, "")


def main():
    where, durable, cached = sys.argv[1:4]
    disk, fuse = Disk(durable, cached), os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"volatile", where.encode(), b"fuse", 6, b"fd=%d,rootmode=40000,user_id=0,group_id=0" % fuse) != 0:
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    print("ready", flush=True)
    buffer = bytearray(LARGEST + (1 << 16))
    commands, waits_on = b"", [fuse, 0]
    while True:
        ready = select.select(waits_on, [], [], 0.02 if disk.cut_seed is not None else None)[0]
        if disk.cut_seed is not None and time.monotonic() > disk.cut_at:
            disk.cut()
        if 0 in ready:
            got = os.read(0, 4096)
            if not got:
                waits_on.remove(0)
            commands += got
            while b"\n" in commands:
                line, _, commands = commands.partition(b"\n")
                disk.command(line.decode())
        if fuse not in ready:
            continue
        try:
            size = os.readv(fuse, [buffer])
        except OSError as e:
            if e.errno == errno.ENODEV:
                return  # unmounted
            if e.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                continue
            raise
        _, opcode, unique, node = struct.unpack_from("<IIQQ", buffer)
        try:
            error, answer = 0, serve(disk, opcode, node, memoryview(buffer)[40:size] if opcode == WRITE else bytes(buffer[40:size]))
        except OSError as e:
            error, answer = -e.errno, b""
        if answer is not NO_ANSWER:
            try:
                os.writev(fuse, [struct.pack("<IiQ", 16 + len(answer), error, unique), answer])
            except OSError as e:
                if e.errno != errno.ENOENT:  # the request was interrupted
                    raise


if __name__ == "__main__":
    main()
