import { parsePortRange } from "../../settings-values.ts";
import type { AppFacts, HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

interface Range {
  app: string;
  file: string;
  first: number;
  last: number;
}

/** The ports of an app's instances must not be those of another app, of a site, or of outgoing connections. */
export function appPorts({ apps, ephemeral }: HostFacts): Finding[] {
  const ranges = apps.flatMap(rangesOf);
  const sites = apps.flatMap(({ app, file, settings }) =>
    (settings?.listen ?? []).map((address) => {
      const port = Number(/(\d+)(?: ssl)?$/.exec(String(address))?.[1]);
      return { app: `the site of ${app}`, file, first: port, last: port };
    }),
  );
  return ranges.flatMap((range, index): Finding[] => {
    const other = [...ranges.slice(0, index).filter(({ app }) => app !== range.app), ...sites].find(meets(range));
    const found: Finding[] = [];
    if (other !== undefined) {
      found.push(
        error("app-ports", {
          what: `The ports ${range.first}-${range.last} of ${range.app} are also those of ${other.app} (${other.file}).`,
          why: "An instance could find its port in use, or nginx could send it the requests of the other one.",
          fix: `Give ${range.app} a range of its own: \`ports\` in ${range.file}.`,
        }),
      );
    }
    if (ephemeral !== undefined && meets(range)(ephemeral)) {
      found.push(
        warning("app-ports", {
          what: `The ports ${range.first}-${range.last} of ${range.app} overlap the ports of outgoing connections (${ephemeral.first}-${ephemeral.last}).`,
          why: "Such a connection may use the port when an instance wants to listen on it.",
          fix: `Choose ports below ${ephemeral.first} in ${range.file}, such as "9000-9099".`,
        }),
      );
    }
    return found;
  });
}

function rangesOf({ app, file, settings }: AppFacts): Range[] {
  return [settings?.ports ?? []].flat().map((range) => ({ app, file, ...parsePortRange(range) }));
}

const meets =
  (one: { first: number; last: number }) =>
  (other: { first: number; last: number }): boolean =>
    one.first <= other.last && other.first <= one.last;
