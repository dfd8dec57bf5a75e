"""Starts a program for each connection to a unix socket, as systemd does for a socket unit with Accept=yes.

The connection is the program's standard input. PROGRAM gets nothing else from it.
usage: superserver.py SOCKET GID PROGRAM [ARGUMENT...]
"""

import os
import signal
import socket
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
while True:
    running = [program for program in running if program.poll() is None]
    try:
        connection, _ = server.accept()
    except TimeoutError:
        continue
    with connection:
        connection.settimeout(None)
        running.append(
            subprocess.Popen(command, stdin=connection, stdout=subprocess.DEVNULL, start_new_session=True)
        )
