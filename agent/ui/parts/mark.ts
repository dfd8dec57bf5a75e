import type { Colours } from "../colours.ts";
import { type Html, html } from "../html.ts";

/** The box in a release's colour, before its name. */
export function releaseMark(colours: Colours, release: string): Html {
  return html`<span class="mark ${colours.of(release)}" aria-hidden="true"></span>`;
}
