import { parsePortRange } from "../../settings-values.ts";
import type { AppFacts, HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

interface Range {
  app: string;
  file: string;
  first: number;
  last: number;
}

/** The ports of an app's instances are its alone: no other app's, no site's, and none that the kernel gives away. */
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
          why: "Instances of one would find the port taken by the other, or be taken for them by nginx.",
          fix: `Give ${range.app} a range of its own: \`ports\` in ${range.file}.`,
        }),
      );
    }
    if (ephemeral !== undefined && meets(range)(ephemeral)) {
      found.push(
        warning("app-ports", {
          what: `The ports ${range.first}-${range.last} of ${range.app} lie among those that the kernel gives to outgoing connections (${ephemeral.first}-${ephemeral.last}).`,
          why: "Such a connection may hold the port at the moment when an instance wants to listen on it.",
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
