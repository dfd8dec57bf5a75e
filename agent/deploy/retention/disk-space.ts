import prettyBytes from "pretty-bytes";
import { CutoverError } from "../../../shared/errors.ts";
import type { FreeSpace, Shortage } from "../../contracts/ports.ts";
import { type DeployContext, runSpec } from "../context.ts";
import { keptReleases } from "./kept-releases.ts";
import { prune } from "./retire.ts";

/** The live release and one to go back to are always kept. */
const fewest = 2;

/**
 * Frees disk space for a release: removes the releases that its deployment would remove at its end. If that is not enough,
 * nothing is removed and the release is refused.
 * @param base the release whose files a thin bundle leaves out
 */
export function freeSpaceFor(context: DeployContext, base: string | undefined): FreeSpace {
  return async (shortage) => {
    const { ports, state, deployment } = context;
    const { previous } = await ports.releases.published(state.app);
    const keep = await keptMeanwhile(context, { base, previous });
    const kept = new Set(keptReleases(state, keep, previous));
    const leaving = state.releases.map(({ id }) => id).filter((id) => !kept.has(id));
    const gain = await ports.releases.freedBytes(state.app, leaving);
    if (shortage.needed > shortage.free + gain) throw diskFull(state.app, shortage, gain);
    await prune({ ports, state }, keep);
    await ports.states.save(state.app, state);
    deployment.notice(`older releases were removed to make room: ${prettyBytes(gain)}`);
  };
}

/** How many good releases stay. */
async function keptMeanwhile(
  { ports, state }: DeployContext,
  { base, previous }: { base: string | undefined; previous: string | null },
): Promise<number> {
  if (state.live === null) return fewest;
  const { config } = await runSpec({ ports, state }, state.live);
  let keep = Math.max(config.keep - 1, fewest);
  const stays = (release: string) => keptReleases(state, keep, previous).includes(release);
  while (base !== undefined && keep < state.releases.length && !stays(base)) keep++;
  return keep;
}

function diskFull(app: string, { needed, free }: Shortage, gain: number): CutoverError {
  const size = (bytes: number) => prettyBytes(bytes);
  const pruning = gain === 0 ? "no older release can be removed" : `removing older releases would give ${size(gain)}`;
  return new CutoverError(
    "disk_full",
    `The release needs ${size(needed)} with the reserve; ${size(free)} are free, and ${pruning}.`,
    {
      unchanged: "Nothing was unpacked; the live release goes on serving.",
      fix: `Free ${size(needed - free)} on the host's disk: \`cutover releases ${app}\` shows what is kept there. Or lower \`keep\` in cutover.yml, or \`limits.free\` in agent.yml, which is the reserve.`,
    },
  );
}
