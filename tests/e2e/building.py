# SPDX-License-Identifier: Apache-2.0
"""Builds client programs from their registries (Go modules, Maven Central), and nothing a second time that has not changed."""
import hashlib
import os
import subprocess
import sys
import threading
import time

PRINTING = threading.Lock()


def say(text):
    with PRINTING:
        print(text, flush=True)


def step(what, command, **kw):
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **kw)
    if done.returncode:
        say(f"-- {what}: failed\n{done.stdout}")
        sys.exit(1)
    say(f"-- {what}  ({time.monotonic() - began:.1f} s)")


def go_build(what, source, out, *options):
    """All commands below the folder `source`, into the folder `out`."""
    os.makedirs(out, exist_ok=True)
    command = ["go", "build", "-buildvcs=false", "-mod=readonly", "-o", out + os.sep, *options, "./..."]
    step(what, command, cwd=source, env=dict(os.environ, GOFLAGS=""))


def go_test(what, source):
    """Runs the tests below the folder `source`; what they said when one of them failed, and nothing when all passed."""
    done = subprocess.run(["go", "test", "-count=1", "-buildvcs=false", "-mod=readonly", "./..."], cwd=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", env=dict(os.environ, GOFLAGS=""))
    say(f"{'FAIL' if done.returncode else 'ok  '} {what}")
    return done.stdout if done.returncode else ""


def digest_of(folders):
    digest = hashlib.sha256()
    for source in folders:
        for folder, below, files in os.walk(source):
            below.sort()
            for name in sorted(files):
                with open(os.path.join(folder, name), "rb") as f:
                    digest.update(name.encode() + b"\0" + f.read())
    return digest.hexdigest()


def maven_build(what, source, out, *defines, also=()):
    """The project in the folder `source`, which reads the folders `also` too, into `out`: its classes and a file `classpath`."""
    digest = digest_of([source, *also])
    stamp = os.path.join(out, "stamp")
    if os.path.exists(stamp) and open(stamp).read() == digest:
        with open(os.path.join(out, "classpath")) as f:
            if all(map(os.path.exists, f.read().split(os.pathsep))):
                say(f"-- {what}: built already")
                return
    command = ["mvn", "-q", "-B", "-f", os.path.join(source, "pom.xml"), *defines, "-Dout=" + out, "clean", "compile"]
    offline = subprocess.run(command[:1] + ["-o"] + command[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if offline.returncode:
        step(f"mvn compile {what}, fetching what is missing", command)
    else:
        say(f"-- mvn compile {what}, offline")
    with open(stamp, "w") as f:
        f.write(digest)


def java(out, home, main, *options):
    """The command that runs the class `main` of a project built into `out`; the client's log goes below `home`."""
    with open(os.path.join(out, "classpath")) as f:
        classpath = os.path.join(out, "classes") + os.pathsep + f.read().strip()
    os.makedirs(home, exist_ok=True)
    return ["java", "-Xmx320m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Duser.home=" + home, "-Drocketmq.client.logUseSlf4j=true",
            "-Drocketmq.client.logRoot=" + home, "-Drocketmq.client.logLevel=ERROR", *options, "-cp", classpath, main]
