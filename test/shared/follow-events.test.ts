import { expect, test } from "vitest";
import { followEvents, type StreamFailure } from "../../shared/follow-events.ts";

const at = "2026-11-21T10:30:00.000Z";
const view = {
  id: "AAAAAAAAAAAAAAAAAAAAAA",
  app: "shop",
  kind: "deploy",
  state: "done",
  outcome: "succeeded",
  by: { subject: "test" },
  started: at,
  phases: [],
};
const notice = (id: number) => `${JSON.stringify({ id, at, type: "notice", message: `m${id}` })}\n`;
const end = (id: number) => `${JSON.stringify({ id, at, type: "end", deployment: view })}\n`;

/** Each attempt gives these lines, and then breaks or ends. */
async function followed(attempts: { lines: string; breaks?: boolean }[]) {
  const opened: number[] = [];
  const failures: Pick<StreamFailure, "before" | "thrown">[] = [];
  async function* stream({ lines, breaks = false }: { lines: string; breaks?: boolean }) {
    yield Buffer.from(lines);
    if (breaks) throw new Error("reset");
  }
  const events = followEvents({
    open: async (after) => {
      const attempt = attempts[opened.length];
      opened.push(after);
      if (attempt === undefined) throw new Error("no agent");
      return stream(attempt);
    },
    again: async ({ before, thrown }) => {
      failures.push({ before, thrown });
      if (failures.length > 4) throw thrown;
    },
  });
  const ids: number[] = [];
  const thrown = await (async () => {
    for await (const { id } of events) ids.push(id);
  })().catch((reason: unknown) => reason);
  return { ids, opened, failures, thrown };
}

test("a stream that breaks or ends early is opened again after its last event, and no event comes twice", async () => {
  const { ids, opened, failures } = await followed([
    { lines: `\n${notice(1)}${notice(2)}{"id":3,"at`, breaks: true },
    { lines: `${notice(2)}${notice(3)}` },
    { lines: end(4) },
  ]);
  expect(ids).toEqual([1, 2, 3, 4]);
  expect(opened).toEqual([0, 2, 3]);
  expect(failures).toMatchObject([
    { before: 0, thrown: { message: "reset" } },
    { before: 0, thrown: undefined },
  ]);
});

test("what only a newer agent knows is left out", async () => {
  const unknown = `${JSON.stringify({ id: 1, at, type: "weather" })}\n`;
  expect((await followed([{ lines: unknown + end(2) }])).ids).toEqual([2]);
});

test("attempts in a row without an event are counted, until the caller gives up", async () => {
  const { failures, thrown } = await followed([{ lines: notice(1) }]);
  expect(failures.map(({ before }) => before)).toEqual([0, 1, 2, 3, 4]);
  expect(thrown).toMatchObject({ message: "no agent" });
});
