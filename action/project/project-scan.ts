import { hash } from "node:crypto";
import { readFileSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { djangoOf } from "../../shared/detect/django.ts";
import { startReadingSettings } from "../../shared/detect/django-settings.ts";
import { type KnownSettings, listProject, pythonFilesIn, settingsKey } from "../../shared/detect/project-tree.ts";
import { PythonModules } from "../../shared/detect/python-modules.ts";
import { type PythonAnswer, type PythonScan, startPython } from "../../shared/detect/python-scan.ts";
import type { ProjectFiles } from "../../shared/project-files.ts";
import { projectFiles } from "./project-files.ts";
import { ScanCache, type Scanned, type ScannedFile } from "./scan-cache.ts";

/** A file that was read already. */
interface Digested {
  /** Its real path. */
  source: string;
  sha256: string;
}

export interface ScannedProject {
  files: ProjectFiles;
  /** The same by this job alone; undefined if nothing in it is from earlier jobs. */
  again: (() => Promise<ProjectFiles>) | undefined;
  /** Ends when what was found is kept for the next job. It never rejects. */
  kept: Promise<void>;
}

/** The largest file that Python reads. */
const largest = 400_000;

/**
 * A project with what Python finds in it. Python reads the files that are not as an earlier job has read them. It has started
 * when this returns; meanwhile this process can do something else.
 * @param given Django's settings that the configuration names
 * @returns what ends it, when the digests of files are known
 */
export function scanProject(
  directory: string,
  given: string | undefined,
): (digested: Digested[]) => Promise<ScannedProject> {
  const read = startPython(directory);
  const paths = listProject(directory);
  const wanted = pythonFilesIn(paths);
  const cache = new ScanCache(directory);
  const before = cache.read();
  // With nothing to compare, Python need not wait.
  const all = before === undefined ? read(wanted) : undefined;
  const settings = readSettings(directory, paths, given);
  const filesOf = async (scan: PythonScan) => projectFiles(directory, { paths, scan, settings: await settings });
  return async (digested) => {
    const digests = digestsOf(directory, wanted, digested);
    const earlier = before === undefined ? [] : before.files.filter((each) => digests.get(each.path) === each.sha256);
    const known = new Map(earlier.map((each) => [each.path, each]));
    const asked = all === undefined ? wanted.filter((path) => !known.has(path)) : wanted;
    const answer = await (all ?? read(asked));
    // Another Python may read the same text otherwise.
    if (before !== undefined && answer.python !== before.python) {
      const fresh = await startPython(directory)(wanted);
      const kept = keep(cache, undefined, scannedBy(fresh, wanted, digests));
      return { files: await filesOf(together(wanted, new Map(), fresh)), again: undefined, kept };
    }
    const scanned = scannedBy(answer, asked, digests);
    const kept = keep(cache, before, { ...scanned, files: [...earlier, ...scanned.files] });
    const again = known.size === 0 ? undefined : async () => filesOf(await startPython(directory)(wanted));
    return { files: await filesOf(together(wanted, known, answer)), again, kept };
  };
}

/** In the order of the paths, as Python has it. */
function together(wanted: string[], known: ReadonlyMap<string, ScannedFile>, answer: PythonAnswer): PythonScan {
  const modules = wanted.flatMap((path) => {
    const module = known.get(path)?.module ?? answer.modules[path];
    return module === undefined ? [] : [[path, module] as const];
  });
  return { modules: Object.fromEntries(modules), skipped: answer.skipped, complete: answer.complete };
}

/** Of what was asked, the files that Python has read. What it could not read is asked again by the next job. */
function scannedBy(answer: PythonAnswer, asked: string[], digests: ReadonlyMap<string, string>): Scanned {
  const skipped = new Set(answer.skipped.map(([path]) => path));
  const files = asked.slice(0, answer.looked).flatMap((path) => {
    const sha256 = digests.get(path);
    if (sha256 === undefined || skipped.has(path)) return [];
    return [{ path, sha256, module: answer.modules[path] ?? null }];
  });
  return { python: answer.python, files };
}

async function keep(cache: ScanCache, before: Scanned | undefined, now: Scanned): Promise<void> {
  if (now.files.length === 0) return;
  const same = before !== undefined && before.files.length === now.files.length;
  const was = new Map(before?.files.map(({ path, sha256 }) => [path, sha256]));
  if (same && now.files.every(({ path, sha256 }) => was.get(path) === sha256)) return;
  await cache.keep(now);
}

/** What each file contains. Those that were not read yet, since they are not packed, are read here. */
function digestsOf(directory: string, paths: string[], digested: Digested[]): Map<string, string> {
  const real = realpathSync(directory);
  const read = new Map(digested.map(({ source, sha256 }) => [source, sha256]));
  const found = paths.map((path) => [path, read.get(join(real, path)) ?? digestOf(join(real, path))] as const);
  return new Map(found.filter((each): each is [string, string] => each[1] !== undefined));
}

function digestOf(file: string): string | undefined {
  try {
    const stats = statSync(file);
    return stats.isFile() && stats.size <= largest ? hash("sha256", readFileSync(file), "hex") : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Django's settings, of which the check asks later. Which they are is a guess, from the text of manage.py and wsgi.py alone;
 * with another answer the check reads those.
 */
async function readSettings(directory: string, paths: string[], given: string | undefined): Promise<KnownSettings> {
  const files = { ...projectFiles(directory, { paths }), python: () => nothing };
  const django = guess(files);
  const module = given ?? django?.settings?.module;
  if (module === undefined) return new Map();
  const folder = django?.path ?? "";
  return new Map([[settingsKey(folder, module), await startReadingSettings(directory, folder, module)]]);
}

const nothing: PythonScan = { modules: {}, skipped: [], complete: true };

function guess(files: ProjectFiles) {
  try {
    return djangoOf({ files, modules: new PythonModules(files) });
  } catch {
    // What cannot be read is the check's own to say.
    return undefined;
  }
}
