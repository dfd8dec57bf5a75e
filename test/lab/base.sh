#!/bin/sh
# Makes what the lab's hosts start from, once: `tree`, a bare Debian of this machine's release, with what the agent's package
# depends on in apt's cache, so that a host without a network installs it; and `depends`, what that installation adds to the
# tree, for hosts that are to have it already. As root; in a mount namespace of its own.
set -eu
target=$1
bare=systemd,systemd-sysv,dbus,iproute2
# What cutover-agent depends on, and nothing that Debian only recommends.
depends="nginx supervisor python3-venv acl"

stamp=$(sha256sum <"$0")
if [ "$(cat "$target/complete" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
if [ "${2-}" != inside ]; then exec unshare --mount --propagation private -- sh "$0" "$target" inside; fi

. /etc/os-release
# From where this machine has its own packages.
mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
  sed -n "s/^$VERSION_CODENAME main //p" | head -n 1)
mkdir -p "$target"
rm -rf "$target/complete" "$target/tree" "$target/depends"
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

mkdir -p "$target/depends" "$target/work" "$target/root"
root=$target/root
mount -t overlay -o "lowerdir=$tree,upperdir=$target/depends,workdir=$target/work" overlay "$root"
mount -t proc proc "$root/proc"
# Nothing starts here: services belong to this machine as long as no host has booted.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 0755 "$root/usr/sbin/policy-rc.d"
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -q -y install $depends
rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/machine-id"
umount "$root/proc" "$root"
rm -rf "$target/work" "$root"
printf '%s\n' "$stamp" >"$target/complete"
