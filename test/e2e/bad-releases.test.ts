import { afterAll, beforeAll, describe, it } from "vitest";
import type { Fault } from "../fixtures/shop.ts";
import { offlinePip } from "../harness/places.ts";
import { BadHost } from "./bad-host.ts";
import { type Expected, expectFailedHost } from "./bad-result.ts";

let host: BadHost;
beforeAll(async () => {
  host = await BadHost.start({ name: "bad" });
});
afterAll(() => host?.[Symbol.asyncDispose]());

const traceback = "Traceback (most recent call last):";
const unchanged = "The live release goes on serving";

const releases: [string, Fault, Expected][] = [
  [
    "has an import error",
    "import-error",
    {
      code: "instance_died",
      says: [/web-[01] exited during startup: ImportError: cannot import name 'EDITION'/, unchanged],
      log: [traceback, "ImportError: cannot import name 'EDITION' from 'shop.version'"],
    },
  ],
  [
    "lacks a module",
    "missing-module",
    {
      code: "instance_died",
      says: [/web-[01] exited during startup: ModuleNotFoundError: No module named 'payment_gateway'/, unchanged],
      log: [traceback, "ModuleNotFoundError: No module named 'payment_gateway'"],
    },
  ],
  [
    "starts and dies",
    "dies",
    {
      code: "instance_died",
      says: [/web-[01] exited during startup(?: with exit code 3)?: shop: the licence server is gone/, unchanged],
      log: ["shop: the licence server is gone, giving up"],
    },
  ],
  [
    "answers 500",
    "answers-500",
    {
      code: "health_failed",
      says: [
        /web-[01] answered 500 to GET \/ with Host shop\.example\.com; expected 200-399/,
        unchanged,
        "RuntimeError: The price list is empty (shop/views.py:",
      ],
      log: [traceback, "RuntimeError: The price list is empty", "response of web-"],
    },
  ],
  [
    "answers 400 because of ALLOWED_HOSTS",
    "allowed-hosts",
    {
      code: "health_failed",
      says: [/web-[01] answered 400/, unchanged, "ALLOWED_HOSTS: add shop.example.com there"],
      log: ["Invalid HTTP_HOST header: 'shop.example.com'", "response of web-"],
    },
  ],
  [
    "never answers",
    "never-answers",
    {
      code: "health_timeout",
      says: [/web-[01] accepted the connection and did not answer GET \/ within 3s/, unchanged, "`health.timeout`"],
    },
  ],
];

describe("a release that", () => {
  it.each(releases)("%s leaves the old one serving, and the job says why", async (_, fault, expected) => {
    // Long enough for an instance to start while other tests run, where it is to answer before the limit.
    const timeout = fault === "never-answers" ? "3s" : "6s";
    const health = { path: "/", host: "shop.example.com", timeout };
    const project = await host.project({ version: "v2", fault, config: { health } });
    const result = await host.unchangedBy(() => host.run(project));
    expectFailedHost(result, host.name, expected);
  });

  it("has a release command that fails is not started, and the job shows what the command said", async () => {
    const script = "import sys; print('relation shop_order does not exist'); sys.exit(3)";
    const project = await host.project({ version: "v2", config: { release: { command: ["python", "-c", script] } } });
    const result = await host.unchangedBy(() => host.run(project));
    expectFailedHost(result, host.name, {
      code: "release_command_failed",
      says: ["The release command ended with exit code 3", unchanged, "If that does not say why: run `python -c"],
      log: ["--- release", "relation shop_order does not exist"],
    });
  });

  it("needs other wheels and does not start leaves no environment behind", async () => {
    const project = await host.project({
      version: "v2",
      fault: "missing-module",
      config: { python: { wheels: "vendor" } },
    });
    const result = await host.unchangedBy(async () => host.run(project, { env: await offlinePip() }));
    expectFailedHost(result, host.name, {
      code: "instance_died",
      says: [unchanged],
      log: [/environment \w+ made/, traceback, "No module named 'payment_gateway'"],
    });
  });
});
