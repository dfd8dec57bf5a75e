#!/bin/sh
# What base.sh and upgrade.sh share: apt in trees of which no host has booted. Not run by itself.

# From where this machine has its own packages; all suites are there.
mirror() {
  apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    sed -n "s/^$(. /etc/os-release && echo "$VERSION_CODENAME") main //p" | head -n 1
}

# Mirrors and clocks of test machines may be old. More words go to apt.
update_lists() {
  in=$1
  shift
  chroot "$in" apt-get -q -o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false "$@" update
}

# Sets `root`: the trees `$3`, the uppermost first, and what is done to them lands in `$2`.
open_layer() {
  root=$1/root
  mkdir -p "$2" "$1/work" "$root"
  mount -t overlay -o "lowerdir=$3,upperdir=$2,workdir=$1/work" overlay "$root"
  mount -t proc proc "$root/proc"
}

close_layer() {
  umount "$root/proc" "$root"
  rm -rf "$1/work" "$root"
}

# Nothing starts here: services belong to this machine as long as no host has booted.
install_in() {
  in=$1
  shift
  printf '#!/bin/sh\nexit 101\n' >"$in/usr/sbin/policy-rc.d"
  chmod 0755 "$in/usr/sbin/policy-rc.d"
  DEBIAN_FRONTEND=noninteractive chroot "$in" apt-get -q -y install "$@"
  rm -f "$in/usr/sbin/policy-rc.d"
}
