import { expect, test } from "vitest";
import { deepestMount, mountOf } from "../../../../agent/doctor/facts/mounts.ts";

const table = `/dev/sda1 / ext4 rw,relatime 0 0
tmpfs /var/lib/cut tmpfs rw 0 0
/dev/sdb1 /var/lib/cutover ext4 rw,noexec 0 0
/dev/sdb2 /srv/my\\040disk ext4 ro 0 0
/dev/sdc1 /var/lib/cutover ext4 rw,nodev 0 0
`;

test("of all mounts the one on which a path is, and of several at one place the last", () => {
  expect(deepestMount(table, "/var/lib/cutover/apps")).toEqual({ at: "/var/lib/cutover", options: ["rw", "nodev"] });
  expect(deepestMount(table, "/var/lib/cut-out")).toEqual({ at: "/", options: ["rw", "relatime"] });
  expect(deepestMount(table, "/srv/my disk")).toEqual({ at: "/srv/my disk", options: ["ro"] });
  expect(deepestMount("", "/srv")).toBeUndefined();
});

test("this machine's", async () => {
  expect((await mountOf("/proc/self"))?.at).toBe("/proc");
});
