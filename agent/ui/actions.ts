import { z } from "zod";
import type { AppView } from "../../shared/app-view.ts";
import { deploymentId } from "../../shared/audience.ts";
import { CutoverError } from "../../shared/errors.ts";
import { releaseId, releaseOfRun } from "../../shared/names.ts";
import { calls } from "../../shared/protocol.ts";
import { commandsSince, notUndone } from "../../shared/release-commands.ts";
import { type Html, html, when } from "./html.ts";
import type { PageSource } from "./source.ts";
import type { Words } from "./words.ts";

/** What a form, or the link to its question, names. Each deployment that it begins is in the audit log. */
const fields = z.object({
  release: releaseId.optional(),
  /** A rollback is refused if this is no longer live. */
  from: releaseId.optional(),
  deployment: deploymentId.optional(),
  weight: z.coerce.number().int().min(1).max(100).optional(),
});
type Fields = z.output<typeof fields>;

interface Asked extends Fields {
  app: string;
}

interface Action {
  question(view: AppView, asked: Fields, words: Words): string;
  act(agent: PageSource["agent"], asked: Asked): Promise<unknown>;
}

const actions: Record<string, Action> = {
  rollback: {
    question: ({ app, previous }, _, words) => words.askRollback(app, previous ?? words.nothing),
    act: (agent, { app, from }) => agent.call(calls.rollback, { app }, { body: { ...(from && { from }) } }),
  },
  activate: {
    question: ({ app }, asked, words) => words.askActivate(app, named(asked.release)),
    act: (agent, { app, release, weight = 100 }) =>
      agent.call(calls.activate, { app, release: named(release) }, { body: { weight } }),
  },
  redeploy: {
    question: ({ app }, asked, words) => words.askRedeploy(app, named(asked.release)),
    act: (agent, { app, release }) => agent.call(calls.redeploy, { app }, { body: { release: named(release) } }),
  },
  abort: {
    question: ({ app }, asked, words) => {
      named(asked.deployment);
      return words.askAbort(app);
    },
    act: (agent, { deployment }) => agent.call(calls.abort, { id: named(deployment) }),
  },
};

/** @throws CutoverError request_invalid */
export function actionOf(name: string): Action {
  const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (action === undefined) throw invalid(`There is no action ${name.slice(0, 40)}.`);
  return action;
}

/** @throws CutoverError request_invalid */
export function fieldsOf(given: unknown): Fields {
  const { data, error } = fields.safeParse(given);
  if (data !== undefined) return data;
  throw invalid(error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "));
}

function named(value: string | undefined): string {
  if (value === undefined) throw invalid("The address does not say of what.");
  return value;
}

function invalid(message: string): CutoverError {
  return new CutoverError("request_invalid", message, {
    unchanged: "Nothing was changed.",
    fix: "Go back, and choose again.",
  });
}

export interface Reader {
  words: Words;
  user: string;
}

/** The question before anything happens, as a form. */
export function questionPart(name: string, view: AppView, asked: Fields, { words, user }: Reader): Html {
  const { app, live, staged } = view;
  const isStaged = asked.release !== undefined && staged !== null && releaseOfRun(staged) === asked.release;
  const hidden = { ...asked, ...(name === "rollback" && live !== null && { from: releaseOfRun(live) }) };
  return html`
    ${notes(name, view).map((note) => html`<p class="warn" lang="en">${note}.</p>`)}
    <form method="post" action="/apps/${app}/do/${name}">
      ${Object.entries(hidden).map(([key, value]) => html`<input type="hidden" name="${key}" value="${value}">`)}
      ${when(
        name === "activate" && isStaged,
        () => html`<p><label for="weight">${words.weight}</label>
          <input id="weight" name="weight" type="number" min="1" max="100" value="100" required aria-describedby="weight-hint">
          <span id="weight-hint" class="dim">${words.weightHint}</span></p>`,
      )}
      <p class="dim">${words.recorded(user)}</p>
      <p><button id="yes">${words.yes}: ${words[name as "rollback"]}</button> <a class="button" href="/apps/${app}">${words.no}</a></p>
    </form>`;
}

/** A rollback moves code, not data. */
function notes(name: string, { releases, previous, live }: AppView): string[] {
  if (name !== "rollback" || previous === null || live === null) return [];
  return commandsSince(releases.toReversed(), previous, releaseOfRun(live)).map(notUndone);
}
