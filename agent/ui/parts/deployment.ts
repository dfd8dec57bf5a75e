import { deploymentStates, isAtLeast, reportedAfter, reportedStates } from "../../../shared/deployment-states.ts";
import { actorName, type DeploymentView, type Outcome, requestsWords } from "../../../shared/protocol.ts";
import { shortTime } from "../../cli/terminal/events.ts";
import { type Html, html, when } from "../html.ts";
import type { AppLook } from "../look.ts";
import type { Words } from "../words.ts";

/** How far a deployment is: nothing of who began it, of what it printed, or of why it failed. */
export type Progress = Pick<DeploymentView, "kind" | "release" | "state" | "outcome" | "started" | "weight" | "phases">;

/** Whether an abort still helps: it has not cut over. */
export function canAbort({ outcome, state }: DeploymentView): boolean {
  return outcome === "running" && !isAtLeast(state, "cut_over");
}

/** The last deployment in one sentence; a screen reader says it when it changes. */
export function deploymentSentence(deployment: Progress | null, words: Words): string {
  if (deployment === null) return "";
  const { kind, release = "", outcome, state, weight = 100 } = deployment;
  const now = outcome === "running" ? words.states[state] : words.outcomes[outcome];
  const part = weight === 100 ? "" : ` ${weight} %`;
  return `${words.kinds[kind]} ${release}${part}: ${now}`;
}

export const outcomeColours: Record<Outcome, string> = {
  ...{ running: "busy", succeeded: "good", staged: "info" },
  ...{ failed: "bad", aborted: "bad" },
};

/** The running deployment step by step, or the last one with its end. */
export function deploymentPart(look: AppLook): Html {
  const { view, words, now, lines } = look;
  const { deployment } = view;
  if (deployment === null) return html`<p class="dim">${words.noDeployment}</p>`;
  const { id, by, outcome, failure, started, canary, requests } = deployment;
  const visitors = requests === undefined ? undefined : requestsWords(requests);
  // What the agent said last of the visitors stands below, with its name.
  const last = lines.at(-1) === visitors ? undefined : lines.at(-1);
  return html`
    <p>
      <strong class="${outcomeColours[outcome]}">${deploymentSentence(deployment, words)}</strong>
      <span class="dim">${words.by(actorName(by))}, ${words.ago(shortTime(now - Date.parse(started)))}${runLink(by.run_url)}</span>
    </p>
    <ol class="steps">${steps(deployment, words)}</ol>
    ${when(
      canAbort(deployment),
      () =>
        html`<p><a class="button" id="abort-running" href="/apps/${view.app}/ask/abort?deployment=${id}">${words.abort}</a></p>`,
    )}
    ${when(outcome === "running" && last !== undefined, () => html`<p class="dim" lang="en">${last}</p>`)}
    ${when(canary !== undefined, () => html`<p>${words.judged}: <span lang="en">${canary?.said}</span></p>`)}
    ${when(visitors !== undefined, () => html`<p>${words.judged}: <span lang="en">${visitors}</span></p>`)}
    ${failure === undefined ? "" : failureBox(failure, look)}
    ${when(
      lines.length > 0,
      () =>
        html`<details id="output"><summary id="output-summary">${words.output}</summary><pre lang="en" tabindex="0" id="output-text" aria-label="${words.output}">${lines.join("\n")}</pre></details>`,
    )}`;
}

/** Steps that it has left out are not shown; those that come next are, while it runs. */
export function steps({ phases, state, outcome }: Progress, words: Words): Html[] {
  const done = phases.map(
    ({ state: reached, took }) =>
      html`<li class="done">${words.states[reached]} <span class="dim">${shortTime(took)}</span></li>`,
  );
  if (outcome !== "running") return done;
  const next = reportedAfter(state);
  const rest = reportedStates.filter(
    (other) => next !== undefined && deploymentStates.indexOf(other) >= deploymentStates.indexOf(next),
  );
  return [
    ...done,
    ...rest.map((other) =>
      other === next
        ? html`<li class="current" aria-current="step">${words.states[other]} <span class="dim">${words.now}</span></li>`
        : html`<li class="dim">${words.states[other]}</li>`,
    ),
  ];
}

/** Instances of one release say the same: the first of them is enough to see why. */
const openEvidence = 2;

/** What happened, what did not change, what to do, and the evidence: all in the agent's words. */
function failureBox(failure: NonNullable<DeploymentView["failure"]>, { words }: AppLook): Html {
  const { code, detail, unchanged, fix, evidence = [] } = failure;
  return html`<div class="problem" lang="en">
    <p><strong>${detail}</strong> <code>${code}</code></p>
    ${unchanged === undefined ? "" : html`<p>${unchanged}</p>`}
    ${fix === undefined ? "" : html`<p><span lang="${words.language}">${words.fix}</span>: ${fix}</p>`}
    ${evidence.map(
      ({ source, text }, index) =>
        html`<details id="evidence-${index}" ${index < openEvidence ? "open" : ""}><summary id="evidence-summary-${index}">${source}</summary><pre class="end-first" tabindex="0" id="evidence-text-${index}" aria-label="${source}">${text}</pre></details>`,
    )}
  </div>`;
}

/** Only what a browser opens as a page. */
function runLink(url: string | undefined): Html | string {
  if (url === undefined || !/^https?:\/\//.test(url)) return "";
  return html`, <a id="run-link" href="${url}" rel="noreferrer noopener">run</a>`;
}
