#!/bin/sh
# Makes what a host of the lab is upgraded with in place, once: `upgrade.sh DIRECTORY SUITE`. DIRECTORY is one that base.sh has
# made. The layer `to-SUITE` adds to its trees what apt knows of SUITE and the packages of `apt-get dist-upgrade`, so that a
# host without a network can do it as soon as its sources name SUITE. As root; in a mount namespace of its own.
set -eu
target=$1
suite=$2
here=$(cd "$(dirname "$0")" && pwd)
layer=$target/to-$suite

stamp=$(cat "$0" "$here/apt.sh" "$target/complete" | sha256sum)
if [ "$(cat "$layer.complete" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
if [ "${3-}" != inside ]; then exec unshare --mount --propagation private -- sh "$0" "$target" "$suite" inside; fi

. "$here/apt.sh"
rm -rf "$layer" "$layer.complete"
open_layer "$target" "$layer" "$target/depends:$target/tree"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# The host's own sources and lists stay: until its upgrade it is what it was.
sed "s/\b$(. "$root/etc/os-release" && echo "$VERSION_CODENAME")\b/$suite/" "$root/etc/apt/sources.list" >"$root/root/sources.list"
next="-o Dir::Etc::SourceList=/root/sources.list -o APT::Get::List-Cleanup=0"
# shellcheck disable=SC2086
update_lists "$root" $next
# shellcheck disable=SC2086
chroot "$root" apt-get -q -y $next --download-only dist-upgrade
rm -f "$root/etc/resolv.conf" "$root/root/sources.list" "$root"/var/cache/apt/*.bin
close_layer "$target"
printf '%s\n' "$stamp" >"$layer.complete"
