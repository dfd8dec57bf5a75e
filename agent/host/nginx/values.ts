import { CutoverError } from "../../../shared/errors.ts";

/** How values get into nginx's files: unchanged if nothing in them can end a token, in quotes, or not at all. */

export const indent = (lines: string[]) => lines.map((line) => (line === "" ? "" : `    ${line}`));

/** A directive and its block. */
export function block(head: string, lines: string[]): string[] {
  return [`${head} {`, ...indent(lines), "}"];
}

/** A value that needs no quotes: nothing in it ends a token or starts a variable. @throws CutoverError config_invalid */
export function plain(value: string | number): string {
  const text = String(value);
  if (!/^[A-Za-z0-9._:*[\]-]+$/.test(text)) throw refused(text);
  return text;
}

/** An address, or a network as 10.0.0.0/8. @throws CutoverError config_invalid */
export function plainNetwork(value: string): string {
  return value.split("/").map(plain).join("/");
}

/** A path or an address of this host in quotes. Inside them nginx reads only variables. @throws CutoverError config_invalid */
export function quoted(value: string): string {
  if (/["'\\]/.test(value)) throw refused(value);
  return quotedText(value);
}

/** A path of this host with text of ours after it, which may hold variables of nginx. @throws CutoverError config_invalid */
export function quotedWith(path: string, ours: string): string {
  return `${quoted(path).slice(0, -1)}${ours}"`;
}

/** Any text in quotes. It may have no $: nginx has no escape for that. @throws CutoverError config_invalid */
export function quotedText(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  if (value === "" || /[\u0000-\u001f\u007f$]/.test(value)) throw refused(value);
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

function refused(value: string): CutoverError {
  return new CutoverError("config_invalid", `nginx's configuration cannot hold this value: ${JSON.stringify(value)}.`, {
    unchanged: "Nothing was changed.",
    fix: "Use a value without $ and control characters. Paths and addresses of the host may have no quotes or backslashes either.",
  });
}
