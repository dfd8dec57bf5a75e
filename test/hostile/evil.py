"""What a repository tries while it is built and run: prints one line of JSON, what it could do and what it could not."""

import json
import os
import socket
import subprocess
import sys

places = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "places.json")))


def outcome(act, *arguments):
    try:
        return f"done {act(*arguments)!r}"
    except OSError as error:
        return error.strerror


def read(path):
    if os.path.isdir(path):
        return os.listdir(path)
    with open(path, "rb") as file:
        return file.read(40)


def write(path):
    with open(path, "ab") as file:
        file.write(b"evil\n")


def make(directory):
    os.mkdir(os.path.join(directory, "evil"))


def ask(address):
    if isinstance(address, list):
        return socket.create_connection(tuple(address), 2).close()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)


def run(vector):
    acts = {"read": read, "write": write, "make": make, "ask": ask}
    found = {name: [[path, outcome(act, path)] for path in places[name]] for name, act in acts.items()}
    found["root"] = outcome(os.setuid, 0)
    found["status"] = [line.split()[1] for line in open("/proc/self/status") if line[:6] in ("CapEff", "CapBnd", "NoNewP")]
    found["environment"] = sorted(os.environ)
    quiet = subprocess.DEVNULL
    # It leaves its session and outlives its parent, as a daemon does.
    subprocess.Popen(["/bin/sh", "-c", f"exec sleep {places['nap']}"], start_new_session=True, stdin=quiet, stdout=quiet, stderr=quiet)
    print("EVIL " + json.dumps({"vector": vector, "as": os.getuid(), "found": found}), flush=True)
