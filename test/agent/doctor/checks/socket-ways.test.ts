import { entry, healthyHost } from "../facts.ts";
import { app, testTraps } from "./traps.ts";

testTraps([
  [
    "a directory that nginx may not pass",
    app({
      ways: [{ to: "/srv/a/x.sock", entries: [entry("/", 0o40755), entry("/srv", 0o40750), entry("/srv/a", 0o40755)] }],
    }),
    "socket-ways",
    "error",
    /nginx's workers may not pass \/srv \(0750/,
    /chmod o\+x \/srv/,
  ],
  [
    "a socket that nginx may not open",
    app({ ways: [{ to: "/a.sock", entries: [entry("/", 0o40755), entry("/a.sock", 0o140755, 1001, 1001)] }] }),
    "socket-ways",
    "error",
    /may not open \/a\.sock/,
    /cutover redeploy shop/,
  ],
  [
    "a directory of sockets of an earlier nginx.group, which nobody is told to open to all",
    app({
      ways: [
        {
          to: "/var/lib/cutover/apps/shop/run/r/web-0.sock",
          entries: [entry("/", 0o40755), entry("/var/lib/cutover/apps/shop/run/r", 0o42750, 1001, 994)],
        },
      ],
    }),
    "socket-ways",
    "error",
    /may not pass \/var\/lib\/cutover\/apps\/shop\/run\/r/,
    /^Run `cutover redeploy shop`/,
  ],
  [
    "a directory that the app may not pass",
    app({ ways: [{ to: "/srv", entries: [entry("/", 0o40755), entry("/srv", 0o40710, 0, 33)] }] }),
    "socket-ways",
    "error",
    /shop may not pass \/srv/,
    /chmod o\+x/,
  ],
  [
    "nginx outside of its group",
    healthyHost({ ownGroup: 34 }),
    "socket-ways",
    "error",
    /not in the group www-data/,
    /nginx\.group/,
  ],
  [
    "a group that does not exist",
    healthyHost({ ownGroup: "none" }),
    "socket-ways",
    "error",
    /no group www-data/,
    /nginx\.group/,
  ],
]);
