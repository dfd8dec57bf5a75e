import { releaseOfRun } from "../../../shared/names.ts";
import type { AppView } from "../../../shared/protocol.ts";
import { slotCount } from "../../../shared/slots.ts";
import { type Html, html } from "../html.ts";
import type { AppLook } from "../look.ts";

/** What this part needs of a look. */
export interface SlotsLook extends Pick<AppLook, "colours" | "words"> {
  view: Pick<AppView, "live"> & { instances: Pick<AppView["instances"][number], "run" | "slots" | "process">[] };
}

/** Where the 60 slots lead: how many to which release, the live one first. */
function slotsByRelease({ instances, live }: SlotsLook["view"]): [release: string, slots: number][] {
  const counts = new Map<string, number>(live === null ? [] : [[releaseOfRun(live), 0]]);
  for (const { run, slots, process } of instances) {
    const release = releaseOfRun(run);
    if (process === undefined && slots > 0) counts.set(release, (counts.get(release) ?? 0) + slots);
  }
  return [...counts].filter(([, slots]) => slots > 0);
}

/** The agent says how many slots an instance has, not which: they are drawn release by release. */
export function slotsPart({ view, colours, words }: SlotsLook): Html {
  const found = slotsByRelease(view);
  const empty = Math.max(0, slotCount - found.reduce((sum, [, slots]) => sum + slots, 0));
  const boxes = found.flatMap(([release, slots]) => new Array<string>(slots).fill(colours.of(release)));
  const legend = found.map(([release, slots]) => ({
    colour: colours.of(release),
    text: words.slotsOf(slots, release),
  }));
  if (empty > 0) legend.push({ colour: "empty", text: words.noSlots(empty) });
  return html`
    <p class="dim">${words.slotsHint}</p>
    <div class="slots" aria-hidden="true">
      ${[...boxes, ...new Array<string>(empty).fill("empty")].map((colour) => html`<span class="slot ${colour}"></span>`)}
    </div>
    <ul class="legend" aria-label="${words.allSlots}">
      ${legend.map(({ colour, text }) => html`<li><span class="mark ${colour}" aria-hidden="true"></span>${text}</li>`)}
    </ul>`;
}
