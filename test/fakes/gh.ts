import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename, join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";

export interface FakeRelease {
  draft: boolean;
  prerelease: boolean;
  latest: boolean;
  notes: string;
  /** Contents by name. */
  files: Record<string, string>;
}

/**
 * The parts of GitHub's command `gh` that .ci/publish uses, and the GitHub behind it. `bin` has a `gh` that asks this
 * process, since a program of its own would take longer to start than all else. It prints what `--jq` selects, and knows
 * the programs that are asked for.
 */
export class FakeGh implements AsyncDisposable {
  /** A directory for PATH. */
  readonly bin: string;
  /** Commits by tag. */
  readonly tags: Record<string, string>;
  /** By tag. */
  readonly releases: Record<string, FakeRelease> = {};
  /** All that was changed, in its order. */
  readonly changes: string[] = [];
  /** The next command that begins so fails, such as `release upload`. */
  failing: string | undefined;
  readonly #server = createServer(async (request, response) => {
    const [cwd = "", ...args] = (await text(request)).split("\0").slice(0, -1);
    try {
      response.end(this.#answer(cwd, args));
    } catch (error) {
      response.writeHead(500).end(`${error}`);
    }
  });

  private constructor(directory: string, tags: Record<string, string>) {
    this.bin = join(directory, "bin");
    this.tags = tags;
    mkdirSync(this.bin);
  }

  static async start(directory: string, tags: Record<string, string>): Promise<FakeGh> {
    const gh = new FakeGh(directory, tags);
    const socket = join(directory, "gh.sock");
    const ask = `curl --silent --show-error --fail --unix-socket ${socket} --data-binary @- http://gh/`;
    writeFileSync(join(gh.bin, "gh"), `#!/bin/sh\nprintf '%s\\0' "$PWD" "$@" | ${ask}\n`, { mode: 0o755 });
    gh.#server.listen(socket);
    await once(gh.#server, "listening");
    return gh;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  #answer(cwd: string, args: string[]): string {
    const { failing } = this;
    if (failing !== undefined && args.join(" ").replace("--paginate ", "").startsWith(failing)) {
      this.failing = undefined;
      throw new Error("HTTP 502");
    }
    const { options, positionals } = parse(args);
    const [command, action = "", tag = "", ...files] = positionals;
    if (command === "api") return this.#api(action, options);
    if (command !== "release") throw new Error(`unknown command ${command}`);
    if (action === "create") {
      return this.#create(tag, readFileSync(resolve(cwd, options["notes-file"] ?? ""), "utf8"), options);
    }
    const release = this.releases[tag];
    if (release === undefined) throw new Error("release not found");
    switch (action) {
      case "download":
        return release.files[options.pattern ?? ""] ?? "";
      case "edit":
        return this.#edit(tag, release, options);
      case "upload":
        return this.#upload(tag, release, { cwd, files, options });
      default:
        throw new Error(`unknown command release ${action}`);
    }
  }

  #edit(tag: string, release: FakeRelease, { draft = false, prerelease = false, latest }: Options): string {
    Object.assign(release, { draft, prerelease, latest: latest === "true" });
    return this.#changed(`publish ${tag}`);
  }

  #upload(tag: string, release: FakeRelease, given: { cwd: string; files: string[]; options: Options }): string {
    const { cwd, files, options } = given;
    for (const file of files) {
      if (basename(file) in release.files && !options.clobber) throw new Error("asset under the same name exists");
      release.files[basename(file)] = readFileSync(resolve(cwd, file), "utf8");
    }
    return this.#changed(`upload ${tag} ${files.join(" ")}`);
  }

  #create(tag: string, notes: string, options: Options): string {
    if (tag in this.releases || !options["verify-tag"] || !(tag in this.tags)) throw new Error("HTTP 422");
    this.releases[tag] = { draft: options.draft === true, prerelease: false, latest: false, notes, files: {} };
    return this.#changed(`create ${tag}`);
  }

  #api(path: string, options: Options): string {
    const endpoint = path.replace("repos/{owner}/{repo}/", "");
    const words = [...(options["raw-field"] ?? []), ...(options.field ?? [])];
    const fields: Record<string, string> = Object.fromEntries(words.map((word) => word.split("=")));
    const matching = "git/matching-refs/tags/";
    if (endpoint === "releases") {
      const releases = Object.entries(this.releases);
      return selected(
        options,
        '.[] | "\\(.tag_name) \\(.draft)"',
        releases.map(([tag, { draft }]) => `${tag} ${draft}`),
      );
    }
    if (endpoint.startsWith(matching)) {
      const tags = Object.entries(this.tags).filter(([tag]) => tag.startsWith(endpoint.slice(matching.length)));
      const refs = tags.map(([tag]) => `refs/tags/${tag}`);
      if (options.jq === ".[].ref") return selected(options, ".[].ref", refs);
      return selected(
        options,
        '.[] | "\\(.ref) \\(.object.sha)"',
        tags.map(([tag, sha]) => `refs/tags/${tag} ${sha}`),
      );
    }
    if (endpoint === "git/refs") return this.#setTag(fields.ref, fields.sha, false);
    if (options.method === "PATCH" && fields.force === "true") return this.#setTag(endpoint.slice(4), fields.sha, true);
    throw new Error(`HTTP 404: ${path}`);
  }

  #setTag(ref = "", sha = "", exists: boolean): string {
    const tag = ref.replace("refs/tags/", "");
    if (tag in this.tags !== exists) throw new Error("HTTP 422");
    this.tags[tag] = sha;
    return this.#changed(`tag ${tag} ${sha}`);
  }

  #changed(change: string): string {
    this.changes.push(change);
    return "";
  }
}

type Options = ReturnType<typeof parse>["options"];

function parse(args: string[]) {
  const { values, positionals } = parseArgs({
    options: {
      paginate: { type: "boolean" },
      silent: { type: "boolean" },
      clobber: { type: "boolean" },
      draft: { type: "boolean" },
      "verify-tag": { type: "boolean" },
      prerelease: { type: "boolean" },
      jq: { type: "string" },
      method: { type: "string" },
      title: { type: "string" },
      "notes-file": { type: "string" },
      pattern: { type: "string" },
      output: { type: "string" },
      latest: { type: "string" },
      field: { type: "string", short: "F", multiple: true },
      "raw-field": { type: "string", short: "f", multiple: true },
    },
    // For gh, an option without a value can have one nevertheless.
    args: args.map((word) => (word === "--draft=false" ? "--no-draft" : word)),
    allowNegative: true,
    allowPositionals: true,
  });
  return { options: values, positionals };
}

function selected(options: Options, jq: string, lines: string[]): string {
  if (options.jq !== jq) throw new Error(`unknown jq program ${options.jq}`);
  return lines.map((line) => `${line}\n`).join("");
}
