import { hash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { pythonProgram } from "../../shared/detect/python-program.ts";
import { type PythonModule, pythonModule } from "../../shared/detect/python-scan.ts";
import { cacheDirectory, hideFromGit } from "../python/cache.ts";

/** What Python found in one file. */
export interface ScannedFile {
  path: string;
  /** Of the content that it had. */
  sha256: string;
  /** null: it says nothing about what serves the project. */
  module: PythonModule | null;
}

export interface Scanned {
  /** The version of Python that read the files. */
  python: string;
  files: ScannedFile[];
}

const schema = z.object({
  program: z.string(),
  python: z.string(),
  files: z.array(z.object({ path: z.string(), sha256: z.string(), module: pythonModule.nullable() })),
});

/** Of a file that somebody else may have written: a project of 2,500 Python files takes about two megabytes. */
const largest = 16 * 1024 * 1024;

/** Another version of what reads the files may find something else in them. */
const program = hash("sha256", pythonProgram, "hex");

/**
 * What Python found in the files of earlier jobs, in the project's cache directory. Whoever can write into a cache of the
 * workflow can put anything there, so it stops no job: see `faultsOf` in check-project.ts. A cache that cannot be used is as good as none.
 */
export class ScanCache {
  readonly #project: string;
  readonly #file: string;

  constructor(project: string) {
    this.#project = project;
    this.#file = join(project, cacheDirectory, "scan.json");
  }

  read(): Scanned | undefined {
    try {
      const { program: by, ...scanned } = schema.parse(JSON.parse(readBounded(this.#file)));
      return by === program ? scanned : undefined;
    } catch {
      return undefined;
    }
  }

  /** A job that is killed meanwhile leaves the one before. */
  async keep(scanned: Scanned): Promise<void> {
    const fresh = `${this.#file}.new`;
    try {
      await hideFromGit(this.#project);
      await mkdir(dirname(this.#file), { recursive: true });
      await rm(fresh, { force: true });
      await writeFile(fresh, JSON.stringify({ program, ...scanned }), { flag: "wx" });
      await rename(fresh, this.#file);
    } catch {
      // A read-only project, or a full disk: the next job has Python read all files.
    }
  }
}

/** @throws Error for what is no file, or too long */
function readBounded(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(file);
    if (!stats.isFile() || stats.size > largest) throw new Error("it is no file of a usual size");
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}
