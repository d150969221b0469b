# SPDX-License-Identifier: Apache-2.0
"""File systems of our own, in a file behind a loop device, whose disk can be taken away, or fail, while a program writes."""
import ctypes
import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
import time

GOING_DOWN = 0x8004587D  # XFS_IOC_GOINGDOWN and EXT4_IOC_SHUTDOWN are one number
NO_LOG_FLUSH = 2         # neither data nor journal that is not on the disk yet gets there any more
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F", "-E", "nodiscard"], "xfs": ["mkfs.xfs", "-q", "-f", "-K"]}
NEW_MOUNTS, RECURSIVE, PRIVATE = 0x20000, 0x4000, 1 << 18  # CLONE_NEWNS, MS_REC, MS_PRIVATE
LEAST_MEGABYTES = 320    # mkfs.xfs makes nothing smaller


def run(*command):
    """Raises OSError with what the command said."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stdout.strip() or f'exit code {done.returncode}'}")


def own_mounts():
    """From now on nobody else sees, copies or keeps what this process mounts, and nothing of it stays when the process has ended."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS) != 0 or libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), f"a mount namespace of our own: {os.strerror(ctypes.get_errno())}")


def unmount(path, limit=10):
    """A loop device may hold on to what is below it for a moment longer."""
    deadline = time.monotonic() + limit
    while True:
        try:
            return run("umount", path)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


class LoopDisk:
    """A file system `fs` in folder/image, mounted at `path` = folder/mount."""

    def __init__(self, fs, folder, megabytes=LEAST_MEGABYTES):
        self.image, self.path, self.fs, self.mounted = os.path.join(folder, "image"), os.path.join(folder, "mount"), fs, False
        os.makedirs(self.path)
        with open(self.image, "wb") as f:
            f.truncate(megabytes << 20)
        run(*MAKE[fs], self.image)

    def mount(self):
        """After a cut: the journal is replayed. The loop device is made anew each time, so nothing is left of what was cached."""
        run("mount", "-t", self.fs, "-o", "loop", self.image, self.path)
        self.mounted = True
        return self

    exact = False         # an answer that came while it was cut may be wrong
    ends_program = False  # a cut must end the program by itself, under load

    def cut(self, dice=None):
        """From now on the file system is as after a power cut: what is not on the disk is lost, and every call fails."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, GOING_DOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def unmount(self):
        if self.mounted:
            unmount(self.path)
            self.mounted = False

    def __enter__(self):
        return self.mount()

    def __exit__(self, *unused):
        self.unmount()
        os.unlink(self.image)


class VolatileDisk(LoopDisk):
    """The same on a disk with a volatile write cache (volatile.py): a cut loses any of the sectors that no sync had brought to safety."""

    exact = True

    def __init__(self, fs, folder, megabytes=LEAST_MEGABYTES):
        super().__init__(fs, folder, megabytes)
        self.durable, self.cached = self.image, os.path.join(folder, "cached")
        run("cp", "--sparse=always", self.durable, self.cached)
        self.below = os.path.join(folder, "below")
        os.makedirs(self.below)
        self.daemon = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "volatile.py"), self.below, self.durable,
                                        self.cached], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.daemon.stdout.readline() != "ready\n":
            raise OSError(f"volatile.py: {self.daemon.communicate()[1].strip()}")
        self.image, self.kept, self.lost = os.path.join(self.below, "image"), 0, 0

    def say(self, command):
        self.daemon.stdin.write(command + "\n")
        self.daemon.stdin.flush()
        return self.daemon.stdout.readline().split()

    def cut(self, dice=random):
        kept, lost = self.say(f"cut {dice.randrange(1 << 32)}")
        self.kept, self.lost = self.kept + int(kept), self.lost + int(lost)

    def mount(self):
        self.say("on")
        return super().mount()

    def __exit__(self, *unused):
        self.unmount()
        unmount(self.below)
        self.daemon.communicate(timeout=10)
        os.unlink(self.durable)
        os.unlink(self.cached)


class FailingDisk(VolatileDisk):
    """The same; instead of being cut, its syncs begin to fail. The program must end by itself."""

    ends_program = True

    def cut(self, dice=random):
        self.say(f"fail {dice.randrange(6)}")


DISKS = {"shutdown": LoopDisk, "volatile": VolatileDisk, "failing": FailingDisk}


def why_not(fs, folder, kind=LoopDisk):
    """None if disks of this kind can be made and cut here; else the reason."""
    if os.geteuid() != 0:
        return "mounting needs root"
    if not shutil.which(MAKE[fs][0]):
        return f"{MAKE[fs][0]} is not installed"
    probe = os.path.join(folder, "probe")
    try:
        own_mounts()
        with kind(fs, probe) as disk:
            disk.cut()
    except OSError as e:
        return str(e)
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    return None
