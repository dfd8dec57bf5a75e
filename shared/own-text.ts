/**
 * The same text in memory of its own. A part of a string is only a reference into the whole, so a line that is kept would keep
 * the megabytes that it came from.
 */
export function ownText(part: string): string {
  return Buffer.from(part, "utf16le").toString("utf16le");
}
