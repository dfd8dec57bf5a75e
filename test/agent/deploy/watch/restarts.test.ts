import { expect, test } from "vitest";
import { Restarts } from "../../../../agent/deploy/watch/restarts.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";

/** Two web instances of v1 and of v2, and the worker of v1. */
function twoRuns() {
  const host = new FakeHost();
  host.disk.programs.add(v1).add(v2);
  const worker = { run: v1, process: "worker", instances: 1, stopMs: 1000, asked: undefined };
  host.disk.processes.set(`${v1} worker`, worker);
  host.pids.set(v2, 500);
  const questions: string[] = [];
  const time = { elapsed: 0 };
  const { privileged } = host.ports;
  const asked = {
    ...host.ports,
    clock: { ...host.ports.clock, elapsed: () => time.elapsed },
    privileged: {
      ...privileged,
      programs: (app: string, run: string) => {
        questions.push(run);
        return privileged.programs(app, run);
      },
    },
  };
  return { host, time, questions, restarts: new Restarts(asked) };
}

const counted = (restarts: Restarts, run: string) => Object.fromEntries(restarts.of("shop", run).counts);

test("each program that has another process than before was restarted", async () => {
  const { host, restarts } = twoRuns();
  await restarts.look("shop", v1);
  expect(counted(restarts, v1)).toEqual({ "web-0": 0, "web-1": 0, "worker-0": 0 });
  host.restarts.set(`${v1} worker`, 1);
  await restarts.look("shop", v1);
  host.restarts.set(`${v1} worker`, 2);
  host.pids.set(v1, 300);
  await restarts.look("shop", v1);
  expect(counted(restarts, v1)).toEqual({ "web-0": 1, "web-1": 1, "worker-0": 2 });
});

test("one that waits for its next try is counted when that has begun", async () => {
  const { host, time, restarts } = twoRuns();
  await restarts.look("shop", v1);
  host.processStates.set(`${v1} worker`, "BACKOFF");
  await restarts.look("shop", v1);
  expect(counted(restarts, v1)).toMatchObject({ "worker-0": 0 });
  host.processStates.delete(`${v1} worker`);
  host.restarts.set(`${v1} worker`, 1);
  time.elapsed += 3000;
  await restarts.look("shop", v1);
  expect(counted(restarts, v1)).toMatchObject({ "worker-0": 1 });
});

test("supervisord is asked once while all run, and again when a process is gone or five minutes are over", async () => {
  const { host, time, questions, restarts } = twoRuns();
  host.disk.processes.clear();
  for (let look = 0; look < 5; look++) await restarts.look("shop", v1);
  expect(questions.length).toBe(1);
  host.pids.set(v1, 300);
  await restarts.look("shop", v1);
  expect(questions.length).toBe(2);
  time.elapsed += 301_000;
  await restarts.look("shop", v1);
  expect(questions.length).toBe(3);
});

test("about a program that stays without a process supervisord is asked ever more rarely, and it is counted when it comes", async () => {
  const { host, time, questions, restarts } = twoRuns();
  await restarts.look("shop", v1);
  host.processStates.set(`${v1} worker`, "FATAL");
  for (; time.elapsed < 3_600_000; time.elapsed += 3000) await restarts.look("shop", v1);
  expect(questions.length).toBeLessThan(25);
  host.processStates.delete(`${v1} worker`);
  host.restarts.set(`${v1} worker`, 1);
  for (let look = 0; look < 101; look++, time.elapsed += 3000) await restarts.look("shop", v1);
  expect(counted(restarts, v1)).toMatchObject({ "worker-0": 1 });
});

test("a new live run starts at none, and only one that was live before this agent says since when it is counted", async () => {
  const { host, restarts } = twoRuns();
  await restarts.look("shop", v1);
  host.pids.set(v1, 300);
  await restarts.look("shop", v1);
  expect(restarts.of("shop", v1).since).toBeDefined();
  await restarts.look("shop", v2);
  expect(counted(restarts, v1)).toEqual({});
  expect(counted(restarts, v2)).toEqual({ "web-0": 0, "web-1": 0 });
  expect(restarts.of("shop", v2).since).toBeUndefined();
  restarts.keep([]);
  await restarts.look("shop", null);
  await restarts.look("shop", v1);
  expect(restarts.of("shop", v1).since).toBeUndefined();
});
