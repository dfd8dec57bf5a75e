import { createHash, type Hash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgsStringToArgv } from "string-argv";
import { decodeText } from "../../shared/decode-text.ts";
import { type GitReference, gitReference } from "./git-references.ts";
import { sourceDigest } from "./local-sources.ts";

/** What decides which wheels pip gets, as far as one can read it without running pip. */
export interface Requirements {
  /** Over all files that pip reads, directories of source code too, and the values of the variables that they use. */
  hash: string;
  /**
   * All of it is in the hash, except where the references lead. Otherwise something else may change the wheels too: a line
   * whose meaning is not known here.
   */
  complete: boolean;
  /** Repositories of which the requirements name a branch or a tag. */
  references: GitReference[];
}

export interface PipInput {
  /** The project: pip's working directory. */
  directory: string;
  /** The requirements files, relative to it. */
  requirements: string[];
  /** More arguments for pip. */
  arguments: string[];
  env: NodeJS.ProcessEnv;
}

const words = (text: string) => new Set(text.split(" "));
/** Options with files of requirements, with places to look for wheels, with a value that says everything, and without one. */
const fileOptions = words("-r --requirement -c --constraint --build-constraint");
const folderOptions = words("-f --find-links");
const editableOptions = words("-e --editable");
const plainOptions = words(
  "-i --index-url --extra-index-url --trusted-host --no-binary --only-binary --platform --python-version --implementation --abi --use-feature --progress-bar --hash --timeout --retries",
);
const flags = words(
  "--no-index --pre --prefer-binary --require-hashes --no-deps --no-cache-dir -q --quiet -v --verbose --no-build-isolation --use-pep517",
);

/*
 * These are for lines with one space where there are several, and each line can be read by them in one way only: a second way for
 * a space doubled the time with each version.
 */

/** `name[extras] >=1 ; marker`: an index knows it by its name. */
const named =
  /^[A-Za-z0-9][A-Za-z0-9._-]* ?(?:\[[^\]/]*\] ?)?(?:\(? ?(?:[<>=!~]={0,2} ?[^\s;,/<>=!~]+ ?(?:, ?)?)+\)? ?)?(?:;.*)?$/;
/** Also `name @ https://...`, if the address says which bytes it means. */
const fixedAddress =
  /^[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?\s*@\s*(?:git\+)?(?:https?|ssh):\/\/\S*(?:sha256=[0-9a-f]{64}|@[0-9a-f]{40}(?![0-9a-f]))/;
const fileAddress = /^(?:[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?\s*@\s*)?(file:\/\/[^\s;#]+)/;
const archive = /\.(?:whl|zip|tar\.\w+|tgz|tbz|txz)$/;

/** Reads what pip will read. A missing file is not an error here: pip will report it. */
export function readRequirements({ directory, requirements, arguments: given, env }: PipInput): Requirements {
  const reader = new Reader(directory, env);
  for (const file of requirements) reader.file(resolve(directory, file));
  reader.words(given, directory);
  reader.variables();
  const { complete, references } = reader;
  return { hash: reader.hash.digest("hex"), complete, references };
}

function takesValue(option: string): boolean {
  return [fileOptions, folderOptions, editableOptions, plainOptions].some((options) => options.has(option));
}

class Reader {
  readonly hash: Hash = createHash("sha256");
  complete = true;
  readonly references: GitReference[] = [];
  readonly #directory: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #seen = new Set<string>();

  constructor(directory: string, env: NodeJS.ProcessEnv) {
    this.#directory = directory;
    this.#env = env;
  }

  /** A file of requirements or constraints. */
  file(place: string): void {
    if (/^https?:\/\//.test(place)) {
      this.complete = false;
      return;
    }
    if (this.#seen.has(place)) return;
    this.#seen.add(place);
    const content = this.#content(place);
    if (content === undefined) return;
    const text = decodeText(content);
    for (const [, name = ""] of text.matchAll(/\$\{([A-Z0-9_]+)\}/g)) {
      this.hash.update(`${name}=${this.#env[name] ?? ""}\0`);
    }
    for (const line of logicalLines(text)) this.#line(line, dirname(place));
  }

  /** @param from what the paths of files are relative to */
  words(given: string[], from: string): void {
    for (let index = 0; index < given.length; index++) {
      const word = given[index] ?? "";
      const { option, attached } = optionOf(word);
      if (flags.has(option)) continue;
      if (!takesValue(option)) {
        this.#requirement(word);
        continue;
      }
      if (attached === undefined) index++;
      this.#option(option, attached ?? given[index] ?? "", from);
    }
  }

  #option(option: string, value: string, from: string): void {
    if (fileOptions.has(option)) this.file(isUrl(value) ? value : resolve(from, value));
    if (folderOptions.has(option)) this.#folder(value, from);
    if (editableOptions.has(option)) this.#requirement(value);
  }

  /** pip takes each option from a variable too, and from its own files. */
  variables(): void {
    const { PIP_CONSTRAINT, PIP_BUILD_CONSTRAINT, PIP_REQUIREMENT, PIP_FIND_LINKS } = this.#env;
    for (const list of [PIP_CONSTRAINT, PIP_BUILD_CONSTRAINT, PIP_REQUIREMENT]) this.#files(list);
    this.#folders(PIP_FIND_LINKS);
    for (const place of configFiles(this.#env)) {
      const text = readIfFile(place)?.toString("utf8");
      if (text === undefined) continue;
      this.hash.update(text);
      for (const [, key = "", list] of text.matchAll(configLine)) {
        if (key === "find-links") this.#folders(list);
        else this.#files(list);
      }
    }
  }

  #files(list = ""): void {
    for (const place of list.split(/\s+/).filter(Boolean))
      this.file(isUrl(place) ? place : resolve(this.#directory, place));
  }

  #folders(list = ""): void {
    for (const place of list.split(/\s+/).filter(Boolean)) this.#folder(place, this.#directory);
  }

  #line(line: string, from: string): void {
    const options = line.search(/(?:^|\s)-{1,2}[A-Za-z]/);
    const requirement = options < 0 ? line : line.slice(0, options);
    if (requirement.trim() !== "") this.#requirement(requirement.trim());
    if (options >= 0) this.words(parseArgsStringToArgv(line.slice(options)), from);
  }

  #requirement(given: string): void {
    const text = given.replace(/\s+/g, " ");
    if ((named.test(text) && !archive.test(text)) || fixedAddress.test(text)) return;
    const reference = gitReference(text);
    if (reference !== undefined) this.references.push(reference);
    else if (!this.#local(given, text)) this.complete = false;
  }

  /** A directory of source code, or an archive, which pip looks for from its working directory. */
  #local(given: string, text: string): boolean {
    const [, address] = fileAddress.exec(text) ?? [];
    const place = given.split(";", 1).join("").trimEnd();
    const bare = place.endsWith("]") && place.includes("[") ? place.slice(0, place.lastIndexOf("[")) : place;
    const source = address === undefined ? resolve(this.#directory, bare) : fileURLToPath(address);
    if (archive.test(source)) return this.#content(source) !== undefined;
    const digest = sourceDigest(source);
    if (digest === undefined) return false;
    this.hash.update(`${digest} ${source}\0`);
    return true;
  }

  /** A place to look for wheels: a directory, whose content counts, a file, or an address, which is like an index. */
  #folder(value: string, from: string): void {
    if (isUrl(value)) return;
    const place = [resolve(from, value), resolve(this.#directory, value)].find((each) => statOf(each) !== undefined);
    if (place === undefined) return void this.hash.update(`missing ${value}\0`);
    if (statOf(place)?.isDirectory() !== true) return void this.#content(place);
    for (const name of readdirSync(place)
      .filter((each) => archive.test(each))
      .toSorted())
      this.#content(join(place, name));
  }

  #content(place: string): Buffer | undefined {
    const content = readIfFile(place);
    this.hash.update(content === undefined ? `missing ${place}\0` : `${content.length} ${place}\0`);
    if (content !== undefined) this.hash.update(content);
    return content;
  }
}

/** An option in a file of pip's settings, whose value may go on in indented lines. */
const configLine = /^(find-links|(?:build-)?constraint|requirement)\s*[=:](.*(?:\n[ \t]+.*)*)/gm;

/** Lines as pip reads them: a backslash at the end goes on in the next one, and a comment begins with # after a space. */
export function logicalLines(text: string): string[] {
  return text
    .replace(/\\\r?\n/g, " ")
    .split(/\r?\n|\r/)
    .map((line) => withoutComment(line).trim())
    .filter((line) => line !== "");
}

function withoutComment(line: string): string {
  const at = line.search(/(?:^|\s)#/);
  return at === -1 ? line : line.slice(0, at);
}

/** `--name=value`, `-rvalue`, or an option alone. */
function optionOf(word: string): { option: string; attached: string | undefined } {
  const [, long, value] = /^(--[a-z-]+)=(.*)$/s.exec(word) ?? [];
  if (long !== undefined) return { option: long, attached: value };
  if (/^-[a-z]./.test(word)) return { option: word.slice(0, 2), attached: word.slice(2) };
  return { option: word, attached: undefined };
}

function isUrl(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
}

function configFiles(env: NodeJS.ProcessEnv): string[] {
  const { HOME: home, PIP_CONFIG_FILE: named } = env;
  const own = env.XDG_CONFIG_HOME ?? (home === undefined ? undefined : join(home, ".config"));
  return [
    "/etc/pip.conf",
    "/etc/xdg/pip/pip.conf",
    ...(own === undefined ? [] : [join(own, "pip", "pip.conf")]),
    ...(home === undefined ? [] : [join(home, ".pip", "pip.conf")]),
    ...(named === undefined ? [] : [named]),
  ];
}

function statOf(place: string) {
  try {
    return statSync(place, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function readIfFile(place: string): Buffer | undefined {
  try {
    // A link to a device or a pipe would be read without end.
    return statOf(place)?.isFile() === true ? readFileSync(place) : undefined;
  } catch {
    return undefined;
  }
}

/** The key of the wheels' cache: requirements, interpreter, arguments and pip's own environment. */
export function wheelsKey(requirements: Requirements, parts: string[], env: NodeJS.ProcessEnv): string {
  const pip = Object.entries(env)
    .filter(([name]) => name.startsWith("PIP_"))
    .map(([name, value]) => `${name}=${value ?? ""}`)
    .sort();
  return createHash("sha256")
    .update(JSON.stringify([requirements.hash, parts, pip]))
    .digest("hex")
    .slice(0, 24);
}
