import { afterAll, beforeAll, describe, it } from "vitest";
import type { Fault } from "../fixtures/shop.ts";
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
      says: [/web-[01] ended while it was starting/, unchanged, "The traceback is in the instance's log below"],
      log: [traceback, "ImportError: cannot import name 'EDITION' from 'shop.version'"],
    },
  ],
  [
    "lacks a module",
    "missing-module",
    {
      code: "instance_died",
      says: [/web-[01] ended while it was starting/, unchanged, "Correct it and deploy again"],
      log: [traceback, "ModuleNotFoundError: No module named 'payment_gateway'"],
    },
  ],
  [
    "starts and dies",
    "dies",
    {
      code: "instance_died",
      says: [/web-[01] ended while it was starting/, unchanged],
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
        "health.path",
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
      log: ["Invalid HTTP_HOST header: 'shop.example.com'", traceback, "DisallowedHost"],
    },
  ],
  [
    "never answers",
    "never-answers",
    {
      code: "health_timeout",
      says: [/web-[01] did not answer GET \/ within 3s/, unchanged, "raise `health.timeout`"],
    },
  ],
];

describe("a release that", () => {
  it.each(releases)("%s leaves the old one serving, and the job says why", async (_, fault, expected) => {
    const project = await host.project({ version: "v2", fault });
    const result = await host.unchangedBy(() => host.run(project));
    expectFailedHost(result, host.name, expected);
  });
});
