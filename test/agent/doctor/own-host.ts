import { readFile, writeFile } from "node:fs/promises";
import { expect, onTestFinished } from "vitest";
import { examine } from "../../../agent/doctor/doctor.ts";
import type { Finding } from "../../../agent/doctor/finding.ts";
import { type Embedded, startEmbedded } from "../../../agent/host/embedded/embedded.ts";
import { embeddedLayout } from "../../../agent/host/embedded/files.ts";
import { scratch } from "../host/scratch.ts";

const version = "1.2.3";

/** A real nginx and a real supervisord, and what doctor says of them. Other supervisords of this machine are not ours. */
export async function host() {
  const dir = scratch();
  const embedded: Embedded = await startEmbedded(dir);
  onTestFinished(() => embedded.stop());
  const layout = embeddedLayout(dir);
  const found = async (): Promise<Finding[]> => {
    const askAgent = async (socket: string) => ({ socket, version });
    const findings = await examine({ config: layout.etc, version, now: Date.now(), askAgent });
    return findings.filter(({ check, what }) => check !== "second-supervisord" || what.includes(dir));
  };
  const edit = async (file: string, change: (text: string) => string) =>
    writeFile(file, change(await readFile(file, "utf8")));
  return { dir, embedded, layout, found, edit };
}

export const finding = (check: string, what: RegExp, severity = "error") =>
  expect.objectContaining({ check, severity, what: expect.stringMatching(what) });
