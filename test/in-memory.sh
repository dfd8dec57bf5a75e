#!/bin/sh
# Runs a command with its temporary files in memory: the tests write and sync many thousands of small ones. They are in a
# mount that only the command sees, and that ends with it. Without root, or with little memory, they stay on the disk.
set -eu
wanted_kb=6000000

available=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
if [ -n "${TMPDIR-}" ] || [ "$(id -u)" != 0 ] || [ "${available:-0}" -lt "$wanted_kb" ] ||
  ! unshare --mount true 2>/dev/null; then
  exec "$@"
fi
# Its own: whoever removes a directory on which another run has mounted something takes that mount away from it, also from
# without. Short: a socket's path has 107 bytes.
directory=$(mktemp -d /tmp/mXXX)
# Ctrl-C ends the command; then the directory goes.
trap : INT HUP
code=0
# shellcheck disable=SC2016 # expanded by the inner shell
unshare --mount -- sh -c 'mount -t tmpfs -o mode=1777 tmpfs "$0" && TMPDIR=$0 exec "$@"' "$directory" "$@" || code=$?
rmdir "$directory"
exit "$code"
