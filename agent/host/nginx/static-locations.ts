import { posix } from "node:path";
import type { Config } from "../../../shared/config.ts";
import type { Site } from "../../../shared/config-site.ts";
import type { NginxFeatures } from "./features.ts";
import { expiresDirective, headers, inRelease, type OwnHeaders, onOff } from "./locations.ts";
import { block, quoted, quotedText } from "./values.ts";

type Static = Config["static"][number];

/** At least 12 hex digits before the extension, or before two of them, such as app.1a2b3c4d5e6f.js.map. */
const hashedName = String.raw`[/._-][0-9a-f]{12,}(?:\.[A-Za-z0-9]+){1,2}$`;

/** The location of the app where the files of `/` are looked for first. */
export const appLocation = "@cutover_app";

interface Files {
  home: string;
  releases: string[];
  site: Site;
  nginx: NginxFeatures;
  own: OwnHeaders;
}

/**
 * Static files: of the live release, then of the canary, then of the previous one, for pages loaded just before a cutover.
 * Each release has a location of its own, since `disable_symlinks` takes one trusted path.
 * @param index of the entry: no two entries of a server have the same
 */
export function staticLocations(entry: Static, index: number, files: Files): string[] {
  const { expires, fallback } = entry;
  // A location of one file holds no other, and a link to a hashed name is in a page that changes with it.
  const immutable = entry.immutable && entry.url.endsWith("/");
  const { home, releases, site, nginx, own } = files;
  const name = (turn: number, kind: string) => `@cutover_static_${index}_${turn}${kind}`;
  const gzipStatic = entry.gzip_static || nginx.modules.has("http_gzip_static_module");
  const common = (turn: number) => [
    ...inRelease(home, releases[turn] ?? "", "/static"),
    ...(gzipStatic ? [`gzip_static ${onOff(entry.gzip_static)};`] : []),
  ];
  const missing = fallback !== undefined ? name(0, "_page") : entry.url === "/" ? appLocation : "=404";
  const tries = (turn: number, kind: string, what = "$uri", last = missing) =>
    `try_files ${what} ${turn + 1 < releases.length ? name(turn + 1, kind) : last};`;
  // What is kept for good is not asked for again, so there a name that is no file must not get the fallback.
  const hashedTries = (turn: number) => tries(turn, "_hashed", "$uri", fallback === undefined ? missing : "=404");
  const forGood = [...headers(site, own), 'add_header Cache-Control "public, max-age=31536000, immutable";'];
  const first = block(head(entry), [
    ...common(0),
    tries(0, ""),
    ...expiresDirective(expires),
    ...(immutable
      ? [
          "",
          ...block(`location ~ "${hashedName}"`, [
            hashedTries(0),
            ...(expires === "off" ? [] : ["expires off;"]),
            ...forGood,
          ]),
        ]
      : []),
  ]);
  const other = (turn: number, kind: string, lines: string[]) => [
    "",
    ...block(`location ${name(turn, kind)}`, [...common(turn), ...lines]),
  ];
  const others = releases
    .slice(1)
    .flatMap((_, before) => [
      ...other(before + 1, "", [tries(before + 1, ""), ...expiresDirective(expires)]),
      ...(immutable ? other(before + 1, "_hashed", [hashedTries(before + 1), ...forGood]) : []),
    ]);
  if (fallback === undefined) return [...first, ...others];
  const page = quotedText(posix.join(entry.url, fallback));
  // It names the files of one release, so browsers must ask for it again.
  const fresh = [...headers(site, own), 'add_header Cache-Control "no-cache";'];
  const pages = releases.flatMap((_, turn) => other(turn, "_page", [tries(turn, "_page", page, "=404"), ...fresh]));
  return [...first, ...others, ...pages];
}

function head({ url }: Static): string {
  if (url === "/") return "location /";
  return `location ${url.endsWith("/") ? "^~" : "="} ${quoted(url)}`;
}
