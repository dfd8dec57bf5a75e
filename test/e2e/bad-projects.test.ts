import { appendFileSync } from "node:fs";
import { appendFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ActionResult } from "../harness/action.ts";
import { offlinePip } from "../harness/places.ts";
import { BadHost } from "./bad-host.ts";
import { expectRefusedProject } from "./bad-result.ts";

let host: BadHost;
beforeAll(async () => {
  host = await BadHost.start({ name: "bad" });
});
afterAll(() => host?.[Symbol.asyncDispose]());

/** Deploys a shop that was made worse. */
async function deployWith(change: (project: string) => Promise<void>): Promise<ActionResult> {
  const project = await host.project({ version: "v2" });
  await change(project);
  return host.unchangedBy(() => host.run(project));
}

describe("nothing is sent for a project", () => {
  it("without a cutover.yml", async () => {
    const result = await deployWith((project) => rm(join(project, "cutover.yml")));
    expectRefusedProject(result, {
      code: "config_not_found",
      says: ["There is no cutover.yml in /", "inputs working-directory and config"],
    });
  });

  it("with a cutover.yml that is not YAML", async () => {
    const result = await deployWith((project) =>
      writeFile(join(project, "cutover.yml"), "app: shop\nserver: { kind: gunicorn\nhealth: [/\n"),
    );
    expectRefusedProject(result, { code: "config_not_yaml", says: [/^cutover\.yml:\d+:\d+: /m, /Correct th/] });
  });

  it("with unknown keys and wrong types, all told together with their lines", async () => {
    const wrong = `app: Shop
server:
  kind: gunicorn
  app: shop.wsgi:application
  instances: many
  worker: 2
healthy: { path: / }
python: { version: 3.11 }
env: { PAGE_SIZE: 20 }
`;
    const result = await deployWith((project) => writeFile(join(project, "cutover.yml"), wrong));
    expectRefusedProject(result, {
      code: "config_invalid",
      says: [
        /^cutover\.yml:1:1: app: /m,
        /^cutover\.yml:5:3: server\.instances: expected number/m,
        /^cutover\.yml:6:3: server\.worker: unknown key.*Did you mean workers\?$/m,
        /^cutover\.yml:7:1: healthy: unknown key.*Did you mean health\?$/m,
        /^cutover\.yml:8:11: python\.version: expected string/m,
        /^cutover\.yml:9:8: env\.PAGE_SIZE: a text; put numbers and yes\/no in quotes$/m,
        "Correct these 6 places.",
      ],
    });
  });

  it("that does not contain what server.app names", async () => {
    const result = await deployWith((project) => rm(join(project, "shop/wsgi.py")));
    expectRefusedProject(result, {
      code: "server_app_not_found",
      says: ["server.app is shop.wsgi:application", "shop/wsgi.py", "Correct server.app"],
    });
  });

  it("with a symlink that leaves it", async () => {
    const result = await deployWith((project) => symlink("/etc/hostname", join(project, "shop/hostname")));
    expectRefusedProject(result, {
      code: "symlink_outside",
      says: ["shop/hostname -> /etc/hostname", "leave the symlink out with `exclude`"],
    });
  });

  it("of which a file changes while it is packed", async () => {
    const project = await host.project({ version: "v2" });
    // Between hashing and packing the last file lies the packing of this one.
    await writeFile(join(project, "archive.bin"), Buffer.alloc(32 * 1024 * 1024, "all work and no play "));
    const log = join(project, "zz-server.log");
    await appendFile(log, "started\n");
    const writing = setInterval(() => appendFileSync(log, "GET / 200\n"), 2);
    try {
      const result = await host.unchangedBy(() => host.run(project));
      expectRefusedProject(result, {
        code: "file_changed",
        says: ["app/zz-server.log changed while it was being packed", "Let no other process write to the project"],
      });
    } finally {
      clearInterval(writing);
    }
  });

  it("whose requirements cannot be resolved, and pip's own message is shown", async () => {
    const project = await host.project({ version: "v2", config: { python: { wheels: "vendor" } } });
    await appendFile(join(project, "requirements.txt"), "payment-gateway-of-nobody==7.1\n");
    const result = await host.unchangedBy(async () => host.run(project, { env: await offlinePip() }));
    const message = "ERROR: No matching distribution found for payment-gateway-of-nobody==7.1";
    expectRefusedProject(result, {
      code: "wheels_failed",
      says: [`pip could not get the wheels for requirements.txt: ${message}`, "Correct the name or the version"],
      log: ["--- pip", message],
    });
    expect(result.summary).toContain("No matching distribution found for payment-gateway-of-nobody");
  });
});
