import { expect, test } from "vitest";
import { createHttpApp } from "../../../agent/http/app.ts";
import { localOperator } from "../../../agent/http/auth/authorize.ts";
import { createLogger } from "../../../agent/logger.ts";
import type { Call } from "../../../shared/call.ts";
import { calls } from "../../../shared/protocol.ts";
import { FakeService } from "../../fakes/service.ts";

const protocol: Call[] = Object.values(calls);

/** The calls that an agent answers, of those with a handler for one path. */
function answered(admin: boolean): string[] {
  const { routes } = createHttpApp({
    service: new FakeService(),
    logger: createLogger("silent"),
    version: "1.2.3",
    authorize: localOperator(),
    trust: { view: async () => ({ app: "shop", trust: [] }), forget: async () => undefined },
    certificates: { views: async () => [], renew: async (app) => ({ app, names: [], failures: 0 }) },
    metrics: async () => "",
    admin,
  });
  return routes.filter(({ path }) => path !== "/*").map(({ method, path }) => `${method} ${path}`);
}

test("the admin socket answers every call of the protocol, and no other", () => {
  expect(answered(true).toSorted()).toEqual(protocol.map(({ method, path }) => `${method} ${path}`).toSorted());
});

test("the network has no call that is for local operators alone", () => {
  const open = protocol.filter(({ who }) => who !== "operator");
  expect(answered(false).toSorted()).toEqual(open.map(({ method, path }) => `${method} ${path}`).toSorted());
});
