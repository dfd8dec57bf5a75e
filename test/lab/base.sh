#!/bin/sh
# Makes what the lab's hosts of one Debian start from, once: `base.sh DIRECTORY SUITE`. `tree` is a bare Debian, with what the
# agent's package depends on in apt's cache, so that a host without a network installs it; `depends` is what that installation
# adds to the tree, for hosts that are to have it already; `wheels` are of this Debian's Django and gunicorn, for its Python.
# As root; in a mount namespace of its own.
set -eu
target=$1
suite=$2
here=$(cd "$(dirname "$0")" && pwd)
bare=systemd,systemd-sysv,dbus,iproute2
# What cutover-agent depends on. What Debian recommends with it comes too, as with apt's own settings.
depends="nginx supervisor python3-venv acl"

stamp=$(cat "$0" "$here/apt.sh" "$here/../wheels.py" | sha256sum)
if [ "$(cat "$target/complete" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
if [ "${3-}" != inside ]; then exec unshare --mount --propagation private -- sh "$0" "$target" "$suite" inside; fi

. "$here/apt.sh"
mkdir -p "$target"
rm -rf "$target/complete" "$target/tree" "$target/depends" "$target/wheels"
tree=$target/tree
# shellcheck disable=SC2086 # without a mirror debootstrap has its own
debootstrap --variant=minbase "--include=$bare" "$suite" "$tree" $(mirror)

mount -t proc proc "$tree/proc"
cp /etc/resolv.conf "$tree/etc/resolv.conf"
update_lists "$tree"
# shellcheck disable=SC2086 # the list is meant to be split
chroot "$tree" apt-get -q -y --download-only install $depends
umount "$tree/proc"
# A host has its own.
rm -f "$tree/etc/resolv.conf" "$tree/etc/hostname" "$tree/etc/machine-id"

open_layer "$target" "$target/depends" "$tree"
# shellcheck disable=SC2086
install_in "$root" $depends
rm -f "$root/etc/machine-id"
close_layer "$target"

# The wheels stay, and what they were made of does not.
open_layer "$target" "$target/unused" "$target/depends:$tree"
cp /etc/resolv.conf "$root/etc/resolv.conf"
install_in "$root" --no-install-recommends python3-django gunicorn
cp "$here/../wheels.py" "$root/root/wheels.py"
chroot "$root" /usr/bin/python3 /root/wheels.py /root/wheels Django gunicorn
cp -r "$root/root/wheels" "$target/wheels"
close_layer "$target"
rm -rf "$target/unused"
printf '%s\n' "$stamp" >"$target/complete"
