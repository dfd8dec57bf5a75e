"""A process of the app's user that outlives its release. Whatever it can open of any release or object for writing, it keeps
open, and writes to it all the while. It prints each path once."""

import os
import sys
import time

home = sys.argv[1]
kept = {}
print("ready", flush=True)
while True:
    for area in ("releases", "objects"):
        for directory, _, files in os.walk(os.path.join(home, area)):
            for name in (*files, "new.py"):
                path = os.path.join(directory, name)
                if path in kept or (name != "new.py" and os.path.islink(path)):
                    continue
                try:
                    kept[path] = os.open(path, os.O_RDWR | (os.O_CREAT if name == "new.py" else 0))
                    print(path, flush=True)
                except OSError:
                    pass
    for descriptor in kept.values():
        try:
            os.pwrite(descriptor, b"# changed\n", 0)
        except OSError:
            pass
    time.sleep(0.002)
