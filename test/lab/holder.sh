#!/bin/sh
# Holds one lab: namespaces of its own for network, mounts and processes. All of it ends with the standard input: when the
# test is done, and also when it was killed. Then nothing is left but what the outer part removes here: a directory and cgroups.
set -eu
lab=$1 # a new, empty directory
shift  # the rest: cgroup directories to make

if [ "${CUTOVER_LAB_INSIDE-}" != yes ]; then
  trap '' INT TERM HUP
  mkdir "$@"
  CUTOVER_LAB_INSIDE=yes unshare --net --mount --pid --fork --kill-child --mount-proc -- sh "$0" "$lab" || true
  for cgroup in "$@"; do
    # The kernel takes a moment to forget the killed.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
      [ -e "$cgroup" ] || break
      sleep 0.1
    done
  done
  rmdir "$lab"
  exit 0
fi

mount -t tmpfs -o mode=0755 lab "$lab"
# systemd-nspawn keeps its own files there, and would find this machine's manager.
mount -t tmpfs -o mode=0755 run /run
ip link set lo up
ip link add lab0 type bridge
ip addr add 192.0.2.1/24 dev lab0
ip link set lab0 up
echo ready
exec cat >/dev/null
