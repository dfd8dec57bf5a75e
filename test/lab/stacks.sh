#!/bin/sh
# Makes what a host of the lab needs to run all the stacks of test/fixtures/stacks, once: `stacks.sh DIRECTORY`. DIRECTORY is one
# that base.sh has made. The layer `stacks` adds the Debian's own servers to its trees. As root; in a mount namespace of its own.
set -eu
target=$1
here=$(cd "$(dirname "$0")" && pwd)
layer=$target/stacks
servers="python3-django gunicorn uwsgi-core uwsgi-plugin-python3 python3-tornado python3-aiohttp curl"

stamp=$(cat "$0" "$here/apt.sh" "$target/complete" | sha256sum)
if [ "$(cat "$layer.complete" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
if [ "${2-}" != inside ]; then exec unshare --mount --propagation private -- sh "$0" "$target" inside; fi

. "$here/apt.sh"
rm -rf "$layer" "$layer.complete"
open_layer "$target" "$layer" "$target/depends:$target/tree"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# shellcheck disable=SC2086 # the list is meant to be split
install_in "$root" --no-install-recommends $servers
rm -f "$root/etc/resolv.conf" "$root/etc/machine-id" "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin
close_layer "$target"
printf '%s\n' "$stamp" >"$layer.complete"
