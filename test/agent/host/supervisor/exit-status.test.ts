import { expect, test } from "vitest";
import { endOf } from "../../../../agent/host/supervisor/exit-status.ts";

/** In the time zone of this machine, as supervisor writes it. */
const stop = Date.parse("2026-11-27T04:22:05") / 1000;
const log = `2026-11-27 04:22:04,001 INFO spawned: 'web-0' with pid 410
2026-11-27 04:22:05,123 WARN exited: web-0 (exit status 3; not expected)
2026-11-27 04:22:05,180 WARN exited: web-1 (terminated by SIGKILL; not expected)
2026-11-27 04:22:07,002 INFO exited: beat-0 (exit status 0; expected)
`;

test.each([
  ["web-0", stop, "exit code 3"],
  ["web-1", stop, "killed by SIGKILL"],
  ["beat-0", stop + 2, "exit code 0"],
  // Another run's program of this name ended at another time.
  ["web-0", stop + 10, undefined],
  ["web-2", stop, undefined],
])("%s that ended at %i", (name, at, how) => {
  expect(endOf(log, { name, stop: at })).toBe(how);
});

test("of two programs of a name that ended at the same time in two ways neither is known", () => {
  const other = "2026-11-27 04:22:05,400 WARN exited: web-0 (exit status 1; not expected)\n";
  expect(endOf(log + other, { name: "web-0", stop })).toBeUndefined();
  expect(endOf(log + log, { name: "web-0", stop })).toBe("exit code 3");
});
