import { calls, operatorHeader } from "../../shared/protocol.ts";
import type { AuditLog } from "../contracts/ports.ts";
import type { CertificateService, Service } from "../contracts/service.ts";
import { operatorActor } from "./auth/operator.ts";
import type { TrustBook } from "./auth/trust-view.ts";
import { answer, type Call, type HttpApp, json } from "./call.ts";
import * as params from "./params.ts";

export interface AdminCallsOptions {
  service: Service;
  /** Without it no record is kept. */
  audit?: AuditLog;
  /** Without it the agent does not say whom an app trusts. */
  trust?: Pick<TrustBook, "view" | "forget">;
  /** Without it the agent gets no certificates. */
  certificates?: CertificateService;
}

/** The calls for local operators alone: they show secrets, or do what no token allows. */
export function addAdminCalls(app: HttpApp, options: AdminCallsOptions): void {
  const { service } = options;
  const pin = async (c: Call, pinned: boolean) => {
    const name = params.appParam(c.req.param("app"));
    const release = params.releaseParam(c.req.param("release"));
    c.get("audit").asks({ what: pinned ? "pin" : "unpin", app: name, release, by: operatorOf(c) });
    return json(c, calls.pin, await service.pin(name, release, pinned));
  };

  answer(app, calls.apps, async (c) => json(c, calls.apps, { apps: await service.apps() }));

  answer(app, calls.history, async (c) => {
    const { since, ...query } = params.queryOf(calls.history, c);
    const from = since === undefined ? {} : { since: Date.parse(since) };
    return json(c, calls.history, { entries: (await options.audit?.read({ ...query, ...from })) ?? [] });
  });

  answer(app, calls.logs, async (c) => {
    const name = params.appParam(c.req.param("app"));
    const { lines, run, after } = params.queryOf(calls.logs, c);
    return json(c, calls.logs, await service.logs(name, lines, run, after));
  });

  answer(app, calls.requests, async (c) => {
    const name = params.appParam(c.req.param("app"));
    const view = await service.requests(name, params.queryOf(calls.requests, c).seconds);
    return view === undefined ? c.body(null, 204) : json(c, calls.requests, view);
  });

  answer(app, calls.environment, async (c) => {
    const environment = await service.environment(params.appParam(c.req.param("app")));
    return json(c, calls.environment, environment, 200, { "cache-control": "no-store" });
  });

  const { trust } = options;
  if (trust !== undefined)
    answer(app, calls.trust, async (c) => json(c, calls.trust, await trust.view(params.appParam(c.req.param("app")))));

  const { certificates } = options;
  if (certificates !== undefined) addCertificateCalls(app, certificates);

  answer(app, calls.closeSite, async (c) => {
    const name = params.appParam(c.req.param("app"));
    c.get("audit").asks({ what: "maintenance_on", app: name, by: operatorOf(c) });
    const { allow } = await params.bodyOf(calls.closeSite, c);
    return c.json(await service.maintain(name, { allow }));
  });

  answer(app, calls.openSite, async (c) => {
    const name = params.appParam(c.req.param("app"));
    c.get("audit").asks({ what: "maintenance_off", app: name, by: operatorOf(c) });
    await service.maintain(name, null);
    return c.body(null, 204);
  });

  answer(app, calls.pin, (c) => pin(c, true));

  answer(app, calls.unpin, (c) => pin(c, false));

  answer(app, calls.repair, async (c) => {
    const name = params.appParam(c.req.param("app"));
    c.get("audit").asks({ what: "repair", app: name, by: operatorOf(c) });
    return json(c, calls.repair, await service.repair(name));
  });

  answer(app, calls.verify, async (c) => {
    const name = params.appParam(c.req.param("app"));
    c.get("audit").asks({ what: "verify", app: name, by: operatorOf(c) });
    return json(c, calls.verify, await service.verify(name));
  });

  answer(app, calls.removeApp, async (c) => {
    const name = params.appParam(c.req.param("app"));
    const { data } = params.queryOf(calls.removeApp, c);
    c.get("audit").asks({ what: "remove_app", app: name, by: operatorOf(c) });
    await service.removeApp(name, data);
    await options.trust?.forget(name);
    return c.body(null, 204);
  });
}

function addCertificateCalls(app: HttpApp, certificates: CertificateService): void {
  answer(app, calls.certificates, async (c) =>
    json(c, calls.certificates, { certificates: await certificates.views() }),
  );

  answer(app, calls.renewCertificate, async (c) => {
    const name = params.appParam(c.req.param("app"));
    c.get("audit").asks({ what: "renew_certificate", app: name, by: operatorOf(c) });
    return json(c, calls.renewCertificate, await certificates.renew(name));
  });
}

function operatorOf(c: Call) {
  return operatorActor(c.req.header(operatorHeader));
}
