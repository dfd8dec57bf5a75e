import { Readable } from "node:stream";
import type { DeployRequest } from "../../agent/contracts/service.ts";
import { configSchema } from "../../shared/config.ts";
import type { Manifest } from "../../shared/manifest.ts";

/** A deploy of a tiny bundle: only the manifest matters to the deploy code. */
export function requestOf(release: string, settings: object = {}, more: Partial<DeployRequest> = {}): DeployRequest {
  const manifest = manifestOf(release, settings);
  const digest = digestOf(release);
  return {
    body: () => Readable.from([JSON.stringify({ manifest, digest })]),
    digest,
    base: undefined,
    activate: true,
    releaseCommand: true,
    leaseMs: 0,
    by: { subject: "test" },
    waitMs: 0,
    signal: new AbortController().signal,
    ...more,
  };
}

/** A manifest of no files: the deploy code looks at nothing but its head. */
export function manifestOf(release: string, settings: object = {}): Manifest {
  const config = configSchema.parse({
    app: "shop",
    server: { kind: "gunicorn", app: "shop.wsgi:application" },
    ...settings,
  });
  const made = { format: 1 as const, repository: "acme/shop", commit: "", created: "2026-11-21T10:00:00Z" };
  return { ...made, app: config.app, release, config, files: [] };
}

/** What stands for the digest of that manifest. */
export function digestOf(release: string): string {
  return `sha256:${Buffer.from(release).toString("hex").padEnd(64, "0").slice(0, 64)}`;
}
