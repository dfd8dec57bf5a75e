import { expect, test } from "vitest";
import { asHost, type SystemdStep, stepProperties, systemdWords } from "../../../../agent/host/exec/systemd-step.ts";

const step: SystemdStep = {
  argv: ["python", "-c", "print('$HOME; rm -rf /')"],
  env: { PATH: "/usr/bin", GREETING: "a b" },
  cwd: "/var/lib/cutover/apps/shop/releases/r1/app",
  user: { uid: 998, gid: 997 },
  network: false,
  limits: { step_memory: 1024, step_tasks: 16, step_file: 2048 },
  timeoutMs: 60_000,
  askedBy: "cutover-helper@1-2-3.service",
};

test("a step is a unit of its own, as the app's user, without a network, and its words stay words", () => {
  const words = systemdWords(step);
  const inside = ["/usr/bin/env", "-i", "-C", step.cwd, "PATH=/usr/bin", "GREETING=a b", ...step.argv];
  expect(words.slice(words.lastIndexOf("--") + 1)).toEqual(inside);
  expect(words).toContain("--property=User=998");
  expect(words).toContain("--property=Group=997");
  expect(words).toContain("--property=PrivateNetwork=yes");
  expect(words).toContain("--property=MemoryMax=1024");
  expect(words).toContain("--property=TasksMax=16");
  expect(words).toContain("--property=LimitFSIZE=2048");
});

test("a step of a build is a user that systemd makes, which sees only what is mounted for it", () => {
  const data = "/srv/my data";
  const mounts = [
    { source: `${data}/apps/shop/releases`, target: `${data}/apps/shop/releases`, writable: false },
    { source: `${data}/apps/shop/build/1/environment`, target: `${data}/apps/shop/venvs/k:1`, writable: true },
  ];
  const properties = stepProperties({ ...step, user: { dynamic: true, groups: [997] }, view: { data, mounts } });
  expect(properties).toEqual(
    expect.arrayContaining([
      "DynamicUser=yes",
      "SupplementaryGroups=997",
      "ProtectSystem=strict",
      "PrivateTmp=yes",
      "TemporaryFileSystem=/srv/my\\ data:ro,mode=0755",
      "BindReadOnlyPaths=/srv/my\\ data/apps/shop/releases:/srv/my\\ data/apps/shop/releases",
      "BindPaths=/srv/my\\ data/apps/shop/build/1/environment:/srv/my\\ data/apps/shop/venvs/k\\:1",
    ]),
  );
  expect(properties.filter((text) => /^(User|Group)=/.test(text))).toEqual([]);
});

test("no two steps have a unit together", () => {
  const unitOf = (words: string[]) => words.find((word) => word.startsWith("--unit="));
  expect(unitOf(systemdWords(step))).not.toBe(unitOf(systemdWords(step)));
});

test("a step ends with the unit that asks for it, and by itself when nobody is left to end it", () => {
  expect(stepProperties(step)).toContain("BindsTo=cutover-helper@1-2-3.service");
  expect(stepProperties(step)).toContain("RuntimeMaxSec=90");
  expect(stepProperties({ ...step, askedBy: undefined }).some((text) => text.startsWith("BindsTo"))).toBe(false);
});

test("the host's own tools leave the unit of a helper, and of nobody else", () => {
  expect(asHost(["nginx", "-T"], {})).toEqual(["nginx", "-T"]);
  const words = asHost(["nginx", "-T"], { CUTOVER_UNIT: "cutover-helper@1-2-3.service" });
  expect(words[0]).toBe("systemd-run");
  expect(words.slice(-2)).toEqual(["nginx", "-T"]);
});

test("a build's step has less of the processor and the disk than what serves, another step does not", () => {
  const low = ["CPUWeight=20", "IOWeight=20", "Nice=10"];
  expect(stepProperties({ ...step, quiet: true })).toEqual(expect.arrayContaining(low));
  expect(stepProperties(step).filter((text) => low.includes(text))).toEqual([]);
});
