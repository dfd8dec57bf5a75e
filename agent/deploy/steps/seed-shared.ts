import { type LinkedPath, linkedPaths, seedFolder } from "../../../shared/config-site.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, interruption } from "../context.ts";

/** Copying a large folder of media may take a while. */
const timeoutMs = 10 * 60_000;
/** Lines of output in the reason of a failure. */
const evidenceLines = 20;

/**
 * Puts into the app's shared directory what the project starts with at its linked paths, unless something is there
 * already. It runs as the app's user, to whom the directory belongs: so no link in it leads to more than that user may
 * change anyway. Each file or folder appears by one rename, so a copy that was cut short starts again.
 * @throws CutoverError shared_failed
 */
export async function seedShared(context: DeployContext, spec: RunSpec): Promise<void> {
  const linked = linkedPaths(spec.config.shared);
  if (linked.length === 0) return;
  const { ports, deployment, stopping } = context;
  stopping.throwIfAborted();
  const last: string[] = [];
  const code = await ports.privileged.runCommand(spec, {
    argv: seedArguments(linked),
    timeoutMs,
    source: "shared",
    signal: interruption(context),
    onOutput: (_, line) => {
      deployment.output("shared", line);
      last.push(line);
      if (last.length > evidenceLines) last.shift();
    },
  });
  if (code !== 0) throw failed(code, last);
}

/** What fills the shared directory, run in the project's directory with CUTOVER_SHARED in its environment. */
export function seedArguments(linked: LinkedPath[]): string[] {
  return ["python", "-I", "-S", "-c", program, seedFolder, JSON.stringify(linked)];
}

function failed(code: number, lines: string[]): CutoverError {
  return new CutoverError("shared_failed", `Filling the app's shared directory ended with exit code ${code}.`, {
    unchanged: "The live release goes on serving. What is in the shared directory already was not changed.",
    fix: "Read the message below, make room or correct the owner of the directory, then deploy again.",
    evidence: [{ source: "shared", text: lines.join("\n") }],
  });
}

/**
 * For any Python 3. New files get their rights from the umask and their group from the directory, as everything that the
 * app writes there. shutil.copytree would give directories the rights that they have in the release.
 */
const program = `
import json, os, shutil, sys

def copy(source, target):
    if os.path.isdir(source):
        os.mkdir(target)
        for name in os.listdir(source):
            copy(os.path.join(source, name), os.path.join(target, name))
    else:
        shutil.copyfile(source, target)

seeds, linked = sys.argv[1], json.loads(sys.argv[2])
shared = os.environ["CUTOVER_SHARED"]
os.umask(0o007)
for one in linked:
    seed, target = os.path.join(seeds, one["place"]), os.path.join(shared, one["place"])
    if os.path.lexists(target):
        continue
    folder = os.path.dirname(target)
    os.makedirs(folder, exist_ok=True)
    part = os.path.join(folder, "." + os.path.basename(target) + ".seeding")
    if os.path.isdir(part) and not os.path.islink(part):
        shutil.rmtree(part)
    elif os.path.lexists(part):
        os.remove(part)
    if os.path.lexists(seed):
        copy(seed, part)
        print("shared/" + one["place"] + ": starts with what the project has")
    elif one["folder"]:
        os.mkdir(part)
        print("shared/" + one["place"] + ": starts empty")
    else:
        continue
    os.rename(part, target)
`;
