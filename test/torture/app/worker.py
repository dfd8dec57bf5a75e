"""A process beside the web instances that has nothing to do."""

import time

print("ready", flush=True)
while True:
    time.sleep(3600)
