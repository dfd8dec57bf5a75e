import { type Html, html } from "../html.ts";
import type { AppLook } from "../look.ts";
import { deploymentPart, deploymentSentence } from "../parts/deployment.ts";
import { factsPart, instancesPart } from "../parts/facts.ts";
import { releasesPart } from "../parts/releases.ts";
import { slotsPart } from "../parts/slots.ts";
import { visitorsPart } from "../parts/visitors.ts";
import type { Words } from "../words.ts";

/** What the script replaces, by the id of its element. */
export function appParts(look: AppLook): Record<string, Html> {
  return {
    facts: factsPart(look),
    said: html`${deploymentSentence(look.view.deployment, look.words)}`,
    slots: slotsPart(look),
    deployment: deploymentPart(look),
    visitors: visitorsPart(look),
    releases: releasesPart(look),
    instances: instancesPart(look),
  };
}

export function appPage(look: AppLook): Html {
  const { view, words } = look;
  const parts = appParts(look);
  const section = (id: keyof Words & string, title: string) =>
    html`<section aria-labelledby="title-${id}"><h2 id="title-${id}">${title}</h2><div id="${id}">${parts[id]}</div></section>`;
  return html`
    <div id="facts">${parts.facts}</div>
    <p id="said" class="hidden" role="status">${parts.said}</p>
    ${section("slots", words.slots)}
    ${section("deployment", words.deployment)}
    ${section("visitors", words.visitors)}
    ${section("releases", words.releases)}
    ${section("instances", words.instances)}
    <p><a href="/history?app=${view.app}">${words.history}: ${view.app}</a></p>`;
}
