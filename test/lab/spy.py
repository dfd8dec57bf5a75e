"""What a build and a release command can reach on a host with systemd, and what they need of the kernel."""

import ctypes
import glob
import json
import os
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def outcome(act, *arguments):
    try:
        return f"done {act(*arguments)!r}"
    except OSError as error:
        return error.strerror


def read(path):
    return os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(20)


def make(directory):
    path = os.path.join(directory, "spy")
    os.mkdir(path)
    os.rmdir(path)


def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def needed():
    """What programs of projects do: each must work, or this throws."""
    import asyncio
    import mmap
    import multiprocessing
    import sqlite3
    import ssl
    import tempfile
    import threading

    async def subprocesses():
        child = await asyncio.create_subprocess_exec("true")
        await child.wait()

    asyncio.run(subprocesses())
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]
    multiprocessing.Queue().put(1)
    thread = threading.Thread(target=len, args=("",))
    thread.start()
    thread.join()
    ssl.create_default_context()
    sqlite3.connect(os.path.join(tempfile.mkdtemp(), "db")).execute("create table t (a)")
    mmap.mmap(-1, 4096).close()
    os.close(os.memfd_create("spy"))
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    os.nice(1)
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
        socket.socket(family).close()
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0o755)
        os.utime(file.name)
        os.setxattr(file.name, "user.spy", b"1") if sys.platform == "nowhere" else None


def look(step):
    places = json.load(open(os.path.join(HERE, "places.json")))
    needed()
    subprocess.Popen(["sleep", places["nap"]], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open("/tmp/left-by-a-step", "w") as file:
        file.write(step)
    return {
        "step": step,
        "uid": os.getuid(),
        "read": {path: outcome(read, path) for path in places["read"]},
        "make": {path: outcome(make, path) for path in places["make"]},
        "calls": {
            "ptrace": outcome(call, "ptrace", 0, 0, 0, 0),
            "mount": outcome(call, "mount", b"none", b"/tmp", b"tmpfs", 0, None),
            "packet": outcome(socket.socket, socket.AF_PACKET, socket.SOCK_RAW),
        },
    }


def run(step):
    """For the build backend: pip shows its output only when it fails, so word is left in the environment."""
    found = look(step)
    for environment in glob.glob("/var/lib/cutover/apps/shop/venvs/*"):
        with open(os.path.join(environment, f"found {step}"), "w") as file:
            json.dump(found, file)


if __name__ == "__main__":
    with open(os.path.join(os.environ["CUTOVER_SHARED"], "found"), "w") as file:
        json.dump(look("command"), file)
