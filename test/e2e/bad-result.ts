import { expect } from "vitest";
import { z } from "zod";
import type { ErrorCode } from "../../shared/errors.ts";
import type { ActionResult } from "../harness/action.ts";

/** What a person or a script must find in the end of a job that failed. */
export interface Expected {
  code: ErrorCode;
  /** Parts of the annotation: what happened, and what to do. */
  says: (string | RegExp)[];
  /** Lines that back it: in the log and, as far as they need no escape there, in the summary. */
  log?: (string | RegExp)[];
}

const resultByHost = z.record(
  z.string(),
  z.object({ outcome: z.string(), error: z.object({ code: z.string() }).optional(), note: z.string().optional() }),
);

/** The output `result`. */
export function resultOf({ outputs }: ActionResult): z.output<typeof resultByHost> {
  return resultByHost.parse(JSON.parse(outputs.result ?? ""));
}

/** A fault of the project: the job's one annotation has no host in its title, and no host was begun. */
export function expectRefusedProject(result: ActionResult, { code, says, log = [] }: Expected): void {
  expect.soft(result.exitCode).toBe(1);
  expect.soft(result.annotations).toHaveLength(1);
  expectAll(result.annotations[0]?.message ?? "", says);
  expect.soft(result.annotations[0]?.message).toContain("Nothing was");
  expect.soft(result.summary).toContain(`<b>${code}</b>`);
  expectAll(result.stdout, [`the reason: ${code}`, ...log]);
  expect.soft(Object.values(resultOf(result)).filter(({ outcome }) => outcome !== "not_started")).toEqual([]);
}

/** A failure of one host: `result` has its code, and one annotation names host, code, cause and fix. */
export function expectFailedHost(result: ActionResult, host: string, { code, says, log = [] }: Expected): void {
  expect.soft(result.exitCode).toBe(1);
  expect.soft(resultOf(result)[host]).toMatchObject({ outcome: "failed", error: { code } });
  expect.soft(result.annotations.map(({ level, title }) => `${level} ${title}`)).toEqual([`error ${host}: ${code}`]);
  expectAll(result.annotations[0]?.message ?? "", says);
  expect.soft(result.summary).toContain("<b>failed</b>");
  expect.soft(result.summary).toContain(`${code}: `);
  expectAll(result.stdout, [`${host}: ${code}`, ...log]);
}

function expectAll(text: string, parts: (string | RegExp)[]): void {
  for (const part of parts) expect.soft(text).toMatch(part instanceof RegExp ? part : literal(part));
}

function literal(text: string): RegExp {
  return new RegExp(text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
}
