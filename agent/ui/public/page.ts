import { type Context, Hono } from "hono";
import { raw } from "hono/html";
import { asCutoverError } from "../../../shared/errors.ts";
import { asset, assetNames } from "../assets.ts";
import { safeHeaders } from "../guard.ts";
import { type Html, html, rendered } from "../html.ts";
import { layout } from "../pages/layout.ts";
import { isLanguage, type Language, languageOf, languages } from "../words.ts";
import type { Parts, PublicLooks } from "./looks.ts";
import { PublicStreams } from "./stream.ts";

export interface PublicPageOptions {
  looks: PublicLooks;
  /** Of what could not be shown; the reader learns nothing of it. */
  onError(thrown: unknown): void;
}

interface PublicEnv {
  // As the agent's server gives it: the connection is one that somebody watches.
  Bindings: { proven?(): void };
}
type PublicCall = Context<PublicEnv>;

const sections = ["slots", "deployment", "visitors", "releases"] as const;

/**
 * The page for everybody, behind a proxy, at whatever path: all its links are relative. It has no session and no form, and a
 * call that is no GET or HEAD is refused before any route.
 */
export function createPublicPage({ looks, onError }: PublicPageOptions): Hono<PublicEnv> {
  const streams = new PublicStreams();
  const page = new Hono<PublicEnv>();
  page.use(safeHeaders);
  page.use(async (c, next) => {
    if (c.req.method === "GET" || c.req.method === "HEAD") return next();
    return c.text("This page can only be read.\n", 405, { allow: "GET, HEAD" });
  });
  page.onError((thrown, c) => {
    // agent.yml may name an app before it is on the host.
    if (asCutoverError(thrown).code === "app_not_found") return c.notFound();
    onError(thrown);
    return c.text("The page cannot be shown now.\n", 500);
  });
  page.notFound((c) => c.text("There is no such page.\n", 404));

  for (const name of assetNames) page.get(`/${name}`, async (c) => c.body(...(await asset(name))));

  page.get("/", async (c) => {
    const { words, language, query } = readerOf(c);
    const { apps = "" } = await looks.list(language, query);
    const main = html`<div id="apps">${raw(apps)}</div>${apps === "" ? html`<p>${words.noPublicApps}</p>` : ""}`;
    return show(c, { title: words.apps, main, root: "./", live: `live${query}` });
  });
  page.get("/live", (c) => {
    const { language, query } = readerOf(c);
    return watch(c, () => looks.list(language, query));
  });
  page.get("/apps/:app", async (c) => {
    const app = c.req.param("app");
    if (!looks.apps.includes(app)) return c.notFound();
    const { language, query } = readerOf(c);
    const main = appMain(await looks.app(app, language), language);
    return show(c, { title: app, main, root: "../", live: `${app}/live${query}` });
  });
  page.get("/apps/:app/live", (c) => {
    const app = c.req.param("app");
    if (!looks.apps.includes(app)) return c.notFound();
    return watch(c, () => looks.app(app, readerOf(c).language));
  });

  function watch(c: PublicCall, look: () => Promise<Parts>): Response {
    // A HEAD gets no body, so nobody would see the stream's end.
    if (c.req.method === "HEAD") return c.body(null, 200, { "content-type": "text/event-stream" });
    const { words } = readerOf(c);
    return streams.answer(c, { look, lost: words.lostPublic, onOpen: () => c.env?.proven?.() });
  }
  return page;
}

/** In the browser's language, or in the one that the address says: the page sets no cookie on somebody else's site. */
function readerOf(c: PublicCall) {
  const { lang } = c.req.query();
  const language: Language = isLanguage(lang) ? lang : languageOf(c.req.header("accept-language"));
  return { language, words: languages[language], query: isLanguage(lang) ? `?lang=${lang}` : "" };
}

async function show(
  c: PublicCall,
  parts: { title: string; main: Html; root: string; live: string },
): Promise<Response> {
  const { language, words, query } = readerOf(c);
  const links = html`<a href="${parts.root}${query}">${words.apps}</a>`;
  return c.html(await rendered(layout({ language, here: "", links, ...parts })));
}

function appMain(parts: Parts, language: Language): Html {
  const words = languages[language];
  const part = (id: string) => raw(parts[id] ?? "");
  return html`
    <div id="facts">${part("facts")}</div>
    <p id="said" class="hidden" role="status">${part("said")}</p>
    ${sections.map(
      (id) =>
        html`<section aria-labelledby="title-${id}"><h2 id="title-${id}">${words[id]}</h2><div id="${id}">${part(id)}</div></section>`,
    )}`;
}
