import { entry, healthyHost, now } from "../facts.ts";
import { testTraps } from "./traps.ts";

const day = 86_400_000;
const certificate = {
  named: "tls in agent.yml",
  certificate: "/a.pem",
  key: "/a.key",
  problem: undefined,
  expires: now + 90 * day,
  keyEntry: entry("/a.key", 0o100600),
};

testTraps([
  [
    "a Python that does not exist",
    healthyHost({ pythons: [{ version: "3.13", apps: ["shop"], found: undefined }] }),
    "pythons",
    "error",
    /no Python 3\.13.*shop needs it/,
    /python_path/,
  ],
  [
    "a Python without pip",
    healthyHost({
      pythons: [
        { version: undefined, apps: [], found: { path: "/usr/bin/python3", version: "3.11.2", pip: undefined } },
      ],
    }),
    "pythons",
    "warning",
    /no pip/,
    /python3-venv/,
  ],
  [
    "an old pip",
    healthyHost({ pythons: [{ version: undefined, apps: [], found: { path: "/p", version: "3.9.2", pip: [20, 3] } }] }),
    "pythons",
    "warning",
    /pip 20\.3/,
    /later/,
  ],
  [
    "a certificate that expires",
    healthyHost({ certificates: [{ ...certificate, expires: now + 5 * day }] }),
    "certificates",
    "warning",
    /a\.pem expires in 5 days/,
    /certbot/,
  ],
  [
    "a certificate of `tls: auto` that expires",
    healthyHost({
      certificates: [
        {
          ...certificate,
          certificate: "/var/lib/cutover/apps/shop/tls/20261121-0/fullchain.pem",
          expires: now + 5 * day,
        },
      ],
    }),
    "certificates",
    "warning",
    /fullchain\.pem expires in 5 days/,
    /cutover tls status/,
  ],
  [
    "a certificate that has expired",
    healthyHost({ certificates: [{ ...certificate, expires: now - 2 * day }] }),
    "certificates",
    "error",
    /expired 2 days ago/,
    /Renew/,
  ],
  [
    "a certificate that cannot be read",
    healthyHost({ certificates: [{ ...certificate, expires: undefined, problem: "/a.pem cannot be read: ENOENT" }] }),
    "certificates",
    "error",
    /ENOENT \(tls in agent\.yml\)/,
    /Correct the path/,
  ],
  [
    "a certificate without a name that its site sends on",
    healthyHost({ certificates: [{ ...certificate, missing: ["www.example.com"] }] }),
    "certificates",
    "warning",
    /a\.pem is not for www\.example\.com/,
    /tls: auto/,
  ],
  [
    "a key for all",
    healthyHost({ certificates: [{ ...certificate, keyEntry: entry("/a.key", 0o100644) }] }),
    "certificates",
    "error",
    /a\.key.*0644/,
    /chmod o-rwx/,
  ],
  [
    "a full disk",
    healthyHost({ disk: { path: "/d", free: 1000, inodes: 1e6 } }),
    "disk",
    "error",
    /1 kB free|1000 B free/,
    /Free some/,
  ],
  [
    "a disk that is nearly full",
    healthyHost({ disk: { path: "/d", free: 500 * 1024 ** 2, inodes: 1e6 } }),
    "disk",
    "warning",
    /500 MiB free/,
    /keep/,
  ],
  [
    "a firewall between the host and itself",
    healthyHost({ loopback: "nothing came back within 2000 ms" }),
    "loopback",
    "error",
    /cannot connect to itself at 127\.0\.0\.1: nothing came back/,
    /ip link set lo up.*firewall/,
  ],
  [
    "a disk that has failed, so that Linux made it read-only",
    healthyHost({ disk: { path: "/d", free: 1e12, inodes: 1e6, mount: { at: "/", options: ["ro", "relatime"] } } }),
    "disk",
    "error",
    /The file system of \/d \(\/\) is read-only/,
    /dmesg/,
  ],
  [
    "a hardened host, on which no compiled package can be loaded",
    healthyHost({ disk: { path: "/d", free: 1e12, inodes: 1e6, mount: { at: "/d", options: ["rw", "noexec"] } } }),
    "disk",
    "warning",
    /mounted with noexec/,
    /^`mount -o remount,exec \/d`/,
  ],
  [
    "a file system without inodes",
    healthyHost({ disk: { path: "/d", free: 1e12, inodes: 10 } }),
    "disk",
    "warning",
    /10 more files/,
    /Free some/,
  ],
]);
