"""Starts a program for each connection to a unix socket, as systemd does for a socket unit with Accept=yes.

The connection is the program's standard input, and --peer gets the name that systemd gives the unit's instance: a number,
and the process and user ids of who connected, as the kernel has them.
usage: superserver.py SOCKET GID PROGRAM [ARGUMENT...]
"""

import os
import signal
import socket
import struct
import subprocess
import sys

path, gid, *command = sys.argv[1:]
server = socket.socket(socket.AF_UNIX)
os.umask(0o117)
server.bind(path)
os.chown(path, 0, int(gid))
os.umask(0o022)
server.listen(64)
server.settimeout(0.2)
running = []
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("listening", flush=True)
number = 0
while True:
    running = [program for program in running if program.poll() is None]
    try:
        connection, _ = server.accept()
    except TimeoutError:
        continue
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    peer = f"{number}-{pid}-{uid}"
    number += 1
    with connection:
        connection.settimeout(None)
        running.append(
            subprocess.Popen([*command, "--peer", peer], stdin=connection, stdout=subprocess.DEVNULL, start_new_session=True)
        )
