import { stripVTControlCharacters } from "node:util";
import Table from "cli-table3";

const none = "";
const chars = {
  top: none,
  "top-mid": none,
  "top-left": none,
  "top-right": none,
  bottom: none,
  "bottom-mid": none,
  "bottom-left": none,
  "bottom-right": none,
  left: none,
  "left-mid": none,
  mid: none,
  "mid-mid": none,
  right: none,
  "right-mid": none,
  middle: "  ",
};

/** Columns under a heading, without lines. Cells may have colours. The text ends without a newline. */
export function renderTable(head: string[], rows: string[][], alignRight: number[] = []): string {
  const table = new Table({
    head,
    chars,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
    colAligns: head.map((_, index) => (alignRight.includes(index) ? "right" : "left")),
  });
  table.push(...rows);
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

/**
 * The same within a width: the columns that do not fit follow each row, with their names, on lines of their own.
 * @param width of the terminal; undefined if nobody looks at it, and lines may be of any length
 */
export function renderFitting(head: string[], rows: string[][], width: number | undefined, alignRight: number[] = []) {
  const whole = renderTable(head, rows, alignRight);
  if (width === undefined || widthOf(whole) <= width) return whole;
  let columns = head.length - 1;
  const table = () =>
    renderTable(
      head.slice(0, columns),
      rows.map((row) => row.slice(0, columns)),
      alignRight,
    );
  while (columns > 1 && widthOf(table()) > width) columns--;
  const [heading = "", ...lines] = table().split("\n");
  const folded = lines.flatMap((line, index) => [line, ...rest(head, rows[index] ?? [], columns, width)]);
  return [heading, ...folded].join("\n");
}

const inset = "    ";

/** The cells behind these columns, as many on a line as fit. */
function rest(head: string[], row: string[], columns: number, width: number): string[] {
  const lines: string[] = [];
  for (const [index, cell] of row.entries()) {
    if (index < columns || cell === "") continue;
    const text = `${head[index]}: ${cell}`;
    const last = lines.at(-1);
    const joined = `${last}, ${text}`;
    if (last !== undefined && widthOf(joined) <= width) lines[lines.length - 1] = joined;
    else lines.push(`${inset}${text}`);
  }
  return lines;
}

function widthOf(text: string): number {
  return Math.max(...text.split("\n").map((line) => stripVTControlCharacters(line).length));
}

/** A text in lines that fit, broken between words. */
export function wrapped(text: string, width: number | undefined): string[] {
  if (width === undefined) return [text];
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1) ?? "";
    const joined = last === "" ? word : `${last} ${word}`;
    if (last === "" || joined.length <= width) lines[lines.length - 1] = joined;
    else lines.push(word);
  }
  return lines;
}
