import { html } from "hono/html";
import { safe } from "../cli/terminal/terminal.ts";

/** Markup whose every value was escaped by `html`. */
export type Html = ReturnType<typeof html>;
export { html };

/**
 * The text that is sent. Releases, paths and output come from apps: like a terminal, the page shows no control characters
 * and no marks that change the direction of writing. Each tag and each text by itself: an escape sequence that a value
 * begins could otherwise take the `<` of the tag after it away, and what comes next would be hidden.
 */
export async function rendered(markup: Html): Promise<string> {
  return String(await markup)
    .split(tags)
    .map(safe)
    .join("");
}

/** Every `<` and `>` is ours: those of values are escaped. */
const tags = /(<[^>]*>)/;

/** Nothing where there is nothing to say. */
export function when(condition: boolean, markup: () => Html): Html | string {
  return condition ? markup() : "";
}
