import { join } from "node:path";

/**
 * What a step of a build sees of the data directory: nothing but these mounts, in a mount namespace of its own. They end with
 * the step. Root follows links in these paths, so only root may be able to change any part of them.
 */
export interface StepView {
  data: string;
  mounts: readonly ViewMount[];
}

export interface ViewMount {
  source: string;
  /** Below the data directory, and not below another target. */
  target: string;
  writable: boolean;
}

/** The directories in a step's scratch directory that its namespace needs. */
export const scratchParts = ["tmp", "view"] as const;

/**
 * Mounts what the words before `--` say, then runs the words after it. The first process of a namespace ignores signals
 * without a handler, so the step must not be the first one.
 */
const mounting = `
fail() { echo "cutover could not mount $1 for this step" >&2; exit 125; }
while [ "$1" != -- ]; do
  case $1 in
  memory) [ ! -d "$3" ] || mount -t tmpfs -o "$2" tmpfs "$3" || fail "$3" ;;
  bind) mkdir -p "$3" && mount --rbind "$2" "$3" || fail "$3" ;;
  remount) mount -o "remount,$2" "$3" || fail "$3" ;;
  esac
  shift 3
done
shift
"$@"; exit $?`;

export interface StepMounts {
  /** A directory of root's with `scratchParts`. */
  scratch: string;
  view?: StepView | undefined;
  /** Directories that the step needs, also if they lie below /tmp. */
  keep: readonly string[];
}

/**
 * The words that run a step with a view and a /tmp of its own, in namespaces that the words before them have made. Everything
 * is put together at another place and then covers the host's own: so each source can be reached while it is mounted.
 */
export function mountWords({ scratch, view, keep }: StepMounts): string[] {
  const [place, tmp] = [join(scratch, "view"), join(scratch, "tmp")];
  const below = (directory: string) => (path: string) => path.startsWith(`${directory}/`);
  const words = view === undefined ? [] : assemble(view, place);
  words.push("bind", tmp, tmp);
  for (const path of keep.filter(below("/tmp"))) {
    words.push("bind", path === view?.data ? place : path, join(tmp, path.slice("/tmp/".length)));
  }
  if (!keep.some(below("/var/tmp"))) words.push("bind", tmp, "/var/tmp");
  words.push("memory", "mode=1777,nosuid,nodev", "/dev/shm", "bind", tmp, "/tmp");
  if (view !== undefined && !below("/tmp")(view.data)) words.push("bind", place, view.data);
  return ["/bin/sh", "-c", mounting, "sh", ...words, "--"];
}

function assemble({ data, mounts }: StepView, place: string): string[] {
  const below = ({ source, target, writable }: ViewMount) => {
    const at = join(place, target.slice(data.length));
    return ["bind", source, at, "remount", `bind,nosuid,nodev,${writable ? "rw" : "ro"}`, at];
  };
  return ["memory", "mode=0755,nosuid,nodev", place, ...mounts.flatMap(below), "remount", "ro", place];
}

/** The same view as properties of a unit. */
export function viewProperties({ data, mounts }: StepView): string[] {
  return [
    `TemporaryFileSystem=${quoted(data)}:ro,mode=0755`,
    ...mounts.map(({ source, target, writable }) => {
      return `${writable ? "BindPaths" : "BindReadOnlyPaths"}=${quoted(source)}:${quoted(target)}`;
    }),
  ];
}

/** systemd splits these values at spaces and colons. */
function quoted(path: string): string {
  return path.replaceAll(/[\\:\s"']/g, (character) => `\\${character}`);
}
