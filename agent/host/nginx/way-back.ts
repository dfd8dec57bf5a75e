import type { Config } from "../../../shared/config.ts";
import { CutoverError, type ErrorCode } from "../../../shared/errors.ts";
import type { SitePart, SiteRequest } from "../../contracts/privileged.ts";
import { isSecure } from "../../host-policy.ts";
import type { AppSettings } from "../../settings.ts";
import type { TlsFiles } from "../../settings-values.ts";

/** What a site is asked for, and what the host's file allows it. */
export interface Wish {
  settings: AppSettings;
  request: SiteRequest;
}

/** What nginx has for the app. */
export interface Present {
  /** The names, as the host's file gives them: `*` for a default server. */
  domains: string[];
  /** Undefined if there is none, or if its files are gone. */
  tls: TlsFiles | undefined;
}

type Site = Exclude<Config["site"], "none">;

/**
 * Writes a site, and leaves out one kind after the other of what the host forbids it by now. Names stay those that nginx has
 * for the app; an address is one that the host's file allows; a certificate that the file no longer names is the one that nginx
 * has, if it is still there.
 * @param present undefined if the app has no traffic yet, and then nothing is left out
 * @throws what `write` throws if nothing can be left out
 */
export async function withLess<T>(
  wish: Wish,
  { write, present }: { write: (wish: Wish) => Promise<T>; present: () => Promise<Present | undefined> },
): Promise<T> {
  const left = new Set<ErrorCode>();
  for (let less = wish; ; ) {
    try {
      return await write(less);
    } catch (thrown) {
      if (!(thrown instanceof CutoverError) || left.has(thrown.code)) throw thrown;
      left.add(thrown.code);
      const without = await lessOf(less, thrown.code, present);
      if (without === undefined) throw thrown;
      less = without;
    }
  }
}

async function lessOf(
  wish: Wish,
  code: ErrorCode,
  present: () => Promise<Present | undefined>,
): Promise<Wish | undefined> {
  const leaveOut = forbidden[code];
  const has = leaveOut && (await present());
  return has && leaveOut?.(wish, has);
}

const forbidden: Partial<Record<ErrorCode, (wish: Wish, present: Present) => Wish | undefined>> = {
  domain_taken: withoutNames,
  domain_not_allowed: withoutNames,
  listen_not_allowed: withoutAddresses,
  peer_not_allowed: ({ settings, request }) => ({
    settings,
    request: changed(request, (site) => ({
      ...site,
      peers: site.peers.filter(({ server }) => settings.peers.includes(server)),
    })),
  }),
  certificate_missing: withoutCertificate,
};

function withoutNames({ settings, request }: Wish, { domains }: Present): Wish {
  return {
    settings: { ...settings, domains },
    request: changed(request, ({ server_name: _, ...site }) => ({ ...site, redirects: {} })),
  };
}

function withoutAddresses({ settings, request }: Wish): Wish {
  const previews = settings.preview.map(String);
  return {
    settings,
    request: changed(request, ({ listen: _, preview, ...site }) => ({
      ...site,
      preview: preview?.listen !== undefined && previews.includes(String(preview.listen)) ? preview : undefined,
    })),
  };
}

/** A site that has nothing but TLS goes on as it is: without it nobody would reach it. */
function withoutCertificate(wish: Wish, { tls }: Present): Wish | undefined {
  if (tls !== undefined) return { ...wish, settings: { ...wish.settings, tls } };
  const { settings, request } = withoutAddresses(wish);
  const open = settings.listen.filter((address) => !isSecure(address));
  if (open.length === 0) return undefined;
  return {
    settings: { ...settings, listen: open },
    request: changed(request, ({ preview, ...site }) => ({
      ...site,
      preview: preview?.listen !== undefined && isSecure(preview.listen) ? undefined : preview,
    })),
  };
}

function changed({ main, preview }: SiteRequest, change: (site: Site) => Site): SiteRequest {
  const part = ({ config, slots }: SitePart): SitePart => ({
    config: config.site === "none" ? config : { ...config, site: change(config.site) },
    slots,
  });
  return { main: main && part(main), preview: preview && part(preview) };
}
