import { maintenanceBody, routes } from "../../shared/protocol.ts";
import type { AuditLog } from "../contracts/ports.ts";
import type { Service } from "../contracts/service.ts";
import type { TrustBook } from "./auth/trust-view.ts";
import type { Call, HttpApp } from "./call.ts";
import * as params from "./params.ts";
import { readJson } from "./request-body.ts";

export interface AdminCallsOptions {
  service: Service;
  /** Unless given, nobody keeps a record. */
  audit?: AuditLog;
  /** Unless given, nobody tells whom an app trusts. */
  trust?: Pick<TrustBook, "view" | "forget">;
}

/** Whoever may open the admin socket. */
const operator = { subject: "local operator" };

/** The calls that only a local operator has: they give away secrets, or do what no token is for. */
export function addAdminCalls(app: HttpApp, options: AdminCallsOptions): void {
  const { service } = options;
  const pin = async (c: Call, pinned: boolean) => {
    const name = params.appParam(c.req.param("app"));
    const release = params.releaseParam(c.req.param("release"));
    c.get("audit").asks({ what: pinned ? "pin" : "unpin", app: name, release, by: operator });
    return c.json(await service.pin(name, release, pinned));
  };

  app.get(routes.apps(), async (c) => c.json({ apps: await service.apps() }));

  app.get(routes.history(), async (c) => {
    const query = params.checked(params.historyQuery, c.req.query(), "query");
    return c.json({ entries: (await options.audit?.read(query)) ?? [] });
  });

  app.get(routes.logs(":app"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    const { lines, run } = params.checked(params.logsQuery, c.req.query(), "query");
    return c.json({ logs: await service.logs(name, lines, run) });
  });

  app.get(routes.environment(":app"), async (c) => {
    const environment = await service.environment(params.appParam(c.req.param("app")));
    return c.json(environment, 200, { "cache-control": "no-store" });
  });

  const { trust } = options;
  if (trust !== undefined)
    app.get(routes.trust(":app"), async (c) => c.json(await trust.view(params.appParam(c.req.param("app")))));

  app.put(routes.maintenance(":app"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    c.get("audit").asks({ what: "maintenance_on", app: name, by: operator });
    const { allow } = params.checked(maintenanceBody, await readJson(c.env), "body");
    return c.json(await service.maintain(name, { allow }));
  });

  app.delete(routes.maintenance(":app"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    c.get("audit").asks({ what: "maintenance_off", app: name, by: operator });
    await service.maintain(name, null);
    return c.body(null, 204);
  });

  app.put(routes.pin(":app", ":release"), (c) => pin(c, true));

  app.delete(routes.pin(":app", ":release"), (c) => pin(c, false));

  app.post(routes.repair(":app"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    c.get("audit").asks({ what: "repair", app: name, by: operator });
    return c.json(await service.repair(name));
  });

  app.delete(routes.app(":app"), async (c) => {
    const name = params.appParam(c.req.param("app"));
    c.get("audit").asks({ what: "remove_app", app: name, by: operator });
    await service.removeApp(name);
    await options.trust?.forget(name);
    return c.body(null, 204);
  });
}
