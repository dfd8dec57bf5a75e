import { closeSync, constants, fchmodSync, fchownSync, fstatSync, openSync } from "node:fs";
import { CutoverError } from "../../../shared/errors.ts";
import { effect } from "../../effects.ts";
import type { AppLayout } from "../store/layout.ts";

/** Who may read a release. Its files are readable for all; two directories decide who gets there. */
export interface ReleaseAccess {
  /** The agent's user, to whom all of a release belongs. */
  owner: number;
  /** The group of the app's user: it reads the project. */
  app: number;
  /** The group of nginx's workers: they read the static files. */
  nginx: number;
}

const directory = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * The modes of a release's directories. The app's user finds the collected static files at paths that it knows, by a link in
 * `app/`; so that user may pass through `static/`, as anybody may fetch these files.
 */
const modes = { app: 0o750, static: 0o751 } as const;

/**
 * Opens a release to its app and to nginx, by the group and mode of two directories. Only directories that are the agent's
 * own are changed, and no link is followed. A release that root took from an earlier agent is open already.
 * @throws CutoverError internal if something in it belongs to somebody else
 */
export async function openRelease(layout: AppLayout, release: string, access: ReleaseAccess): Promise<void> {
  await effect("release.share", async () => openDirectories(layout.release(release), access), release);
}

/** Whether a release was opened to its app, and only the agent or root can change it. */
export function isOpened(layout: AppLayout, release: string, access: ReleaseAccess): boolean {
  return inDirectory(
    layout.release(release),
    (top, path) => {
      const { uid } = fstatSync(top);
      if (uid !== access.owner) return uid === 0;
      return inDirectory(
        `${path}/app`,
        (app) => {
          const status = fstatSync(app);
          return status.uid === access.owner && status.gid === access.app && (status.mode & 0o777) === modes.app;
        },
        true,
      );
    },
    false,
  );
}

function openDirectories(place: string, { owner, app, nginx }: ReleaseAccess): void {
  inDirectory(
    place,
    (top, path) => {
      const { uid } = fstatSync(top);
      if (uid === 0 && owner !== 0) return;
      if (uid !== owner) throw wrongOwner(place);
      const groups = { app, static: nginx };
      for (const name of ["app", "static"] as const) {
        inDirectory(
          `${path}/${name}`,
          (open) => {
            if (fstatSync(open).uid !== owner) throw wrongOwner(`${place}/${name}`);
            fchownSync(open, owner, groups[name]);
            fchmodSync(open, modes[name]);
          },
          undefined,
        );
      }
    },
    undefined,
  );
}

/** Acts in an open directory, whose path then leads nowhere else. @param missing the result if there is no such directory */
function inDirectory<T>(path: string, act: (open: number, path: string) => T, missing: T): T {
  let open: number;
  try {
    open = openSync(path, directory);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === "ENOENT") return missing;
    if (code === "ELOOP" || code === "ENOTDIR") throw wrongOwner(path, thrown);
    throw thrown;
  }
  try {
    return act(open, `/proc/self/fd/${open}`);
  } finally {
    closeSync(open);
  }
}

function wrongOwner(path: string, cause?: unknown): CutoverError {
  return new CutoverError("internal", `${path} is not a directory of the agent's user, so it was not changed.`, {
    unchanged: "The live release goes on serving.",
    fix: "Deploy again: a new release gets directories of its own.",
    cause,
  });
}
