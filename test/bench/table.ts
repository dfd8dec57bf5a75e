/** A table for people: in the terminal, or as Markdown for test/README.md. */
export interface Table {
  title: string;
  head: string[];
  rows: string[][];
  notes: string[];
}

/** The first column is text, the others are figures. */
export function renderText({ title, head, rows, notes }: Table): string {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: string[]) =>
    `  ${widths.map((width, column) => pad(row[column] ?? "", width, column)).join("  ")}`.trimEnd();
  const rule = `  ${widths.map((width) => "-".repeat(width)).join("  ")}`;
  return [title, "", line(head), rule, ...rows.map(line), ...notes.map((note) => `  ${note}`)].join("\n");
}

export function renderMarkdown({ title, head, rows, notes }: Table): string {
  const line = (row: string[]) =>
    `| ${head.map((_, column) => (row[column] ?? "").replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = `| ${head.map((_, column) => (column === 0 ? "---" : "---:")).join(" | ")} |`;
  const table = [line(head), rule, ...rows.map(line)].join("\n");
  return [`**${title}**`, table, ...(notes.length === 0 ? [] : [notes.join(" ")])].join("\n\n");
}

function pad(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width);
}

/** Milliseconds as a person reads them: `840 ms`, `2.31 s`. */
export function time(ms: number): string {
  if (Math.abs(ms) >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${Math.abs(ms) < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** Bytes, in the units that the targets are given in: 1 MB is 1,048,576 for memory. */
export function memory(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MB`;
}

export function size(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function count(value: number): string {
  return value.toLocaleString("en");
}

/** How a figure stands to its target. */
export function verdict(met: boolean, target: string): string {
  return `${target}: ${met ? "met" : "MISSED"}`;
}
