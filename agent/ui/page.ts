import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { getCookie, setCookie } from "hono/cookie";
import { asCutoverError, CutoverError, type ErrorCode } from "../../shared/errors.ts";
import { appName, runId } from "../../shared/names.ts";
import { calls } from "../../shared/protocol.ts";
import { actionOf, fieldsOf, questionPart } from "./actions.ts";
import { asset, assetNames } from "./assets.ts";
import { guard, type PageCall, type PageEnv, safeHeaders } from "./guard.ts";
import { type Html, html, rendered } from "./html.ts";
import type { Looks } from "./look.ts";
import { appPage, appParts } from "./pages/app.ts";
import { appsPart } from "./pages/apps.ts";
import { historyPart } from "./pages/history.ts";
import { layout, type PageParts } from "./pages/layout.ts";
import { doctorPart, enteredPage, logsPart, problemPart } from "./pages/others.ts";
import type { Sessions } from "./session.ts";
import type { PageSource } from "./source.ts";
import { Streams } from "./stream.ts";
import { isLanguage, type Language, languageOf, languages } from "./words.ts";

export interface PageOptions {
  source: PageSource;
  sessions: Sessions;
  looks: Looks;
}

const logLines = 200;
const historyLines = 200;

/** The page: GET shows, and only a POST from one of its own forms changes anything. */
export function createPage({ source, sessions, looks }: PageOptions): Hono<PageEnv> {
  const { agent, host, now } = source;
  const streams = new Streams(sessions);
  const page = new Hono<PageEnv>();
  const show = (
    c: PageCall,
    parts: Omit<PageParts, "host" | "language" | "here">,
    status: 200 | 400 | 401 | 403 | 404 | 409 | 500 | 502 = 200,
  ) => send(c, layout({ host, language: languageFor(c), here: hereOf(c), ...parts }), status);

  page.use(safeHeaders);
  page.use(async (c, next) => {
    c.set("words", languages[languageFor(c)]);
    await next();
    const { lang } = c.req.query();
    if (isLanguage(lang) && c.res.ok) setCookie(c, "lang", lang, { httpOnly: true, sameSite: "Strict", path: "/" });
  });
  page.use(guard(sessions));
  page.use(bodyLimit({ maxSize: 4096 }));
  page.onError((thrown, c) => {
    const error = asCutoverError(thrown);
    return show(
      c,
      { title: c.get("words").failedPage, main: problemPart(error, c.get("words")) },
      statusOf(error.code),
    );
  });
  page.notFound((c) => {
    const error = new CutoverError("request_invalid", "There is no such page.");
    return show(c, { title: c.get("words").failedPage, main: problemPart(error, c.get("words")) }, 404);
  });

  for (const name of assetNames) page.get(`/${name}`, async (c) => c.body(...(await asset(name))));

  page.get("/enter", async (c) => {
    const words = c.get("words");
    const secret = sessions.spend(c.req.query("token") ?? "");
    if (secret === undefined) throw new CutoverError("unauthorized", words.noSession, { fix: words.noSessionFix });
    setCookie(c, sessions.cookie, secret, { httpOnly: true, sameSite: "Strict", path: "/" });
    return send(c, enteredPage(words, await firstPlace(source)));
  });

  const apps = async (c: PageCall) => appsPart(await looks.apps(), { words: c.get("words"), now: now() });
  page.get("/", async (c) =>
    show(c, { title: c.get("words").apps, main: html`<div id="apps">${await apps(c)}</div>`, live: "/live" }),
  );
  page.get("/live", (c) => streams.answer(c, async () => ({ apps: await apps(c) })));

  page.get("/apps/:app", async (c) => {
    const app = appOf(c);
    return show(c, { title: app, main: appPage(await looks.app(app, c.get("words"))), live: `/apps/${app}/live` });
  });
  page.get("/apps/:app/live", (c) => {
    const app = appOf(c);
    return streams.answer(c, async () => appParts(await looks.app(app, c.get("words"))));
  });

  page.get("/apps/:app/ask/:action", async (c) => {
    const name = c.req.param("action");
    const asked = fieldsOf(c.req.query());
    const view = await agent.call(calls.app, { app: appOf(c) });
    const title = actionOf(name).question(view, asked, c.get("words"));
    return show(c, { title, main: questionPart(name, view, asked, { words: c.get("words"), user: source.user }) });
  });
  page.post("/apps/:app/do/:action", async (c) => {
    const app = appOf(c);
    await actionOf(c.req.param("action")).act(agent, { app, ...fieldsOf(await c.req.parseBody()) });
    return c.redirect(`/apps/${app}`, 303);
  });

  page.get("/apps/:app/logs", async (c) => {
    const app = appOf(c);
    const { data: run } = runId.optional().safeParse(c.req.query("run"));
    const { logs } = await agent.call(calls.logs, { app }, { query: { lines: logLines, run } });
    const words = c.get("words");
    return show(c, { title: `${words.logs}: ${app}`, main: logsPart({ app, lines: logLines, logs }, words) });
  });

  page.get("/history", async (c) => {
    const { data: app } = appName.optional().safeParse(c.req.query("app"));
    const { entries } = await agent.call(calls.history, {}, { query: { limit: historyLines, app } });
    const words = c.get("words");
    return show(c, {
      title: app === undefined ? words.history : `${words.history}: ${app}`,
      main: historyPart(entries, words),
    });
  });

  page.get("/doctor", async (c) =>
    show(c, { title: c.get("words").doctor, main: doctorPart(await source.doctor(), c.get("words")) }),
  );
  return page;
}

/** Most hosts have one app: then nobody needs a list of it. An agent that does not answer is told of by the page itself. */
async function firstPlace({ agent }: PageSource): Promise<string> {
  const { apps } = await agent.call(calls.apps, {}).catch(() => ({ apps: [] }));
  return apps.length === 1 ? `/apps/${apps[0]}` : "/";
}

async function send(
  c: PageCall,
  markup: Html,
  status: 200 | 400 | 401 | 403 | 404 | 409 | 500 | 502 = 200,
): Promise<Response> {
  return c.html(await rendered(markup), status);
}

function languageFor(c: PageCall): Language {
  const chosen = [c.req.query("lang"), getCookie(c, "lang")].find(isLanguage);
  return chosen ?? languageOf(c.req.header("accept-language"));
}

/** Without a choice of language. A form's address cannot be opened again. */
function hereOf({ req }: PageCall): string {
  const query = Object.entries(req.query()).filter(([name]) => name !== "lang" && name !== "token");
  // Two slashes at the beginning would lead to another site.
  const path = req.method === "GET" && req.path !== "/enter" ? req.path.replace(/^\/+/, "/") : "/";
  return query.length === 0 ? path : `${path}?${new URLSearchParams(query)}`;
}

/** @throws CutoverError app_not_found */
function appOf(c: PageCall): string {
  const { data } = appName.safeParse(c.req.param("app"));
  if (data === undefined) throw new CutoverError("app_not_found", "The address does not contain the name of an app.");
  return data;
}

function statusOf(code: ErrorCode): 400 | 401 | 403 | 404 | 409 | 500 | 502 {
  if (code.endsWith("_not_found")) return 404;
  const statuses = {
    request_invalid: 400,
    unauthorized: 401,
    forbidden: 403,
    internal: 500,
    agent_unreachable: 502,
  } as const;
  return statuses[code as keyof typeof statuses] ?? 409;
}
