#!/bin/sh
# Makes the tree that the lab's hosts start from, once: a bare Debian of this machine's release, with what the agent's
# package depends on in apt's cache, so that a host without a network installs it. As root; in a mount namespace of its own.
set -eu
target=$1
bare=systemd,systemd-sysv,dbus,iproute2
# What cutover-agent depends on, and nothing that Debian only recommends.
depends="nginx supervisor python3-venv python3-pip"

stamp=$(sha256sum <"$0")
if [ "$(cat "$target/complete" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
if [ "${2-}" != inside ]; then exec unshare --mount --propagation private -- sh "$0" "$target" inside; fi

. /etc/os-release
# From where this machine has its own packages.
mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
  sed -n "s/^$VERSION_CODENAME main //p" | head -n 1)
mkdir -p "$target"
rm -rf "$target/complete" "$target/tree" "$target/debootstrap"
tree=$target/tree
# shellcheck disable=SC2086 # without a mirror debootstrap has its own
debootstrap --variant=minbase "--include=$bare" "$VERSION_CODENAME" "$tree" $mirror

mount -t proc proc "$tree/proc"
cp /etc/resolv.conf "$tree/etc/resolv.conf"
printf 'APT::Install-Recommends "false";\n' >"$tree/etc/apt/apt.conf.d/50lab"
# Mirrors and clocks of test machines may be old.
chroot "$tree" apt-get -q -o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false update
# shellcheck disable=SC2086 # the list is meant to be split
chroot "$tree" apt-get -q -y --download-only install $depends
umount "$tree/proc"
# A host has its own.
rm -f "$tree/etc/resolv.conf" "$tree/etc/hostname" "$tree/etc/machine-id"
printf '%s\n' "$stamp" >"$target/complete"
