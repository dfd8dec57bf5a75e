"""Runs a shell command in a terminal, as a person's shell does, and prints what came on the screen.

Its last line says how the command ended and what stands in the terminal's input then, which the shell would run next.
usage: terminal.py COMMAND [ARGUMENT...]    COMMAND is a text for sh, which finds the arguments in $@
"""

import os
import pty
import subprocess
import sys


def shell() -> None:
    code = subprocess.run(["/bin/sh", "-c", sys.argv[1], "sh", *sys.argv[2:]]).returncode
    os.set_blocking(0, False)
    try:
        typed = os.read(0, 4096)
    except BlockingIOError:
        typed = b""
    print(f"\r\nended {code} {typed!r}", flush=True)


pid, screen = pty.fork()
if pid == 0:
    shell()
    os._exit(0)
while True:
    try:
        data = os.read(screen, 4096)
    except OSError:
        break
    if not data:
        break
    os.write(1, data)
os.waitpid(pid, 0)
