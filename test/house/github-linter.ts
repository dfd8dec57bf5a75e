import { readFile } from "node:fs/promises";
import { registerHooks } from "node:module";
import { isAbsolute, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";
import { TextDocument } from "vscode-languageserver-textdocument";

// The package imports its JSON files in the way of bundlers; Node needs to know that they are JSON.
registerHooks({
  load: (url, context, next) =>
    next(url, url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context),
});
const { validate } = await import("@actions/languageservice");
const { clearCache } = await import("@actions/languageservice/utils/workflow-cache");

/** A workflow of this repository that another one calls. @throws Error for any other file */
async function getFileContent(reference: object): Promise<{ name: string; content: string }> {
  if (!("path" in reference) || typeof reference.path !== "string") throw new Error("the file has no path");
  const path = normalize(reference.path);
  if (isAbsolute(path) || path.startsWith("..")) throw new Error(`${path} is not in this repository`);
  return { name: path, content: await readFile(path, "utf8") };
}

/**
 * What GitHub's own language service finds wrong in a workflow or in action.yml, as `path:line: message`. It knows the
 * keys and their values, what an expression may name, and which jobs and steps there are. It needs no network.
 */
export async function lintGithubFile(path: string, text: string): Promise<string[]> {
  // The service remembers a file by its path, whatever its text is now.
  clearCache();
  const document = TextDocument.create(pathToFileURL(join("/", path)).href, "yaml", 1, text);
  const diagnostics = await validate(document, { fileProvider: { getFileContent } });
  return diagnostics.map(({ range, message }) => `${path}:${range.start.line + 1}: ${message}`);
}
