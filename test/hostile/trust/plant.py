"""Puts a thing of each kind into each place that it is told, in the place of what is there; leaves word of what it could do."""

import glob
import json
import os
import socket


def linked(path):
    os.link(__file__, path)


def setuid(path):
    open(path, "w").close()
    os.chmod(path, 0o4755)


KINDS = {
    "pipe": os.mkfifo,
    "socket": lambda path: socket.socket(socket.AF_UNIX).bind(path),
    "link": lambda path: os.symlink("/etc/passwd", path),
    "hard link": linked,
    "directory": os.mkdir,
    "file": lambda path: open(path, "w").close(),
    "set-user-id": setuid,
    "device": lambda path: os.mknod(path, 0o020666, os.makedev(1, 3)),
}


def attempt(act, *arguments):
    try:
        act(*arguments)
        return True
    except OSError:
        return False


def run(step):
    here = os.path.dirname(os.path.abspath(__file__))
    places = json.load(open(os.path.join(here, "places.json")))
    done = []
    for path in places["replace"]:
        for kind, make in KINDS.items():
            attempt(os.unlink, path)
            if attempt(make, path):
                done.append([step, kind, path])
    for pattern in places["into"]:
        for directory in glob.glob(pattern) or [pattern]:
            for kind, make in KINDS.items():
                # A path that is longer than a socket's may be.
                attempt(os.chdir, directory)
                name = f"{step} {kind}"
                if os.path.realpath(directory) == os.getcwd() and attempt(make, name):
                    done.append([step, kind, directory])
    os.chdir(here)
    # pip shows a backend's output only when it fails.
    for environment in glob.glob(places["environments"] + "/*"):
        with open(os.path.join(environment, f"planted {step}"), "w") as file:
            json.dump({"step": step, "as": os.getuid(), "done": done}, file)
