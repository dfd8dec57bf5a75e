/** What a page names that a browser gets next. The page is untrusted text, of which only the beginning is known. */

/** The page is untrusted: each pattern reads each character of it once, however often a tag is opened. */
const tags = /<(link|script|meta)\b([^<>]*)>/gi;
const attributes = /(?<![\w-])([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+))/g;

/** So many are asked for. */
const most = 4;

/** The addresses of a page's style sheets and scripts, the first ones: without them it is there, and nobody can use it. */
export function pageFiles(page: string, base: URL): URL[] {
  const files = tagsOf(page).flatMap(({ name, value }) => {
    const isStyle = name === "link" && value.get("rel")?.toLowerCase().split(/\s+/).includes("stylesheet") === true;
    const file = isStyle ? value.get("href") : name === "script" ? value.get("src") : undefined;
    return file !== undefined && URL.canParse(file, base.href) ? [new URL(file, base.href)] : [];
  });
  const web = files.filter(({ protocol }) => protocol === "http:" || protocol === "https:");
  return [...new Map(web.map((url) => [url.href, url])).values()].slice(0, most);
}

/** Where a page sends its visitors by itself (`<meta http-equiv="refresh" content="0; url=...">`), if it does. */
export function refreshTarget(page: string, base: URL): URL | undefined {
  const refresh = tagsOf(page).find(
    ({ name, value }) => name === "meta" && value.get("http-equiv")?.toLowerCase() === "refresh",
  );
  const [, target] = /^[^;,]*[;,]\s*(?:url\s*=\s*)?["']?([^"'\s]+)/i.exec(refresh?.value.get("content") ?? "") ?? [];
  return target !== undefined && URL.canParse(target, base.href) ? new URL(target, base.href) : undefined;
}

interface Tag {
  name: string;
  /** By name, in small letters. */
  value: ReadonlyMap<string, string>;
}

function tagsOf(page: string): Tag[] {
  return [...withoutComments(page).matchAll(tags)].map(([, name = "", text = ""]) => ({
    name: name.toLowerCase(),
    value: new Map(
      [...text.matchAll(attributes)].map(([, key = "", double, single, bare]) => [
        key.toLowerCase(),
        (double ?? single ?? bare ?? "").replaceAll("&amp;", "&"),
      ]),
    ),
  }));
}

/** A comment may hold what was there once. One that does not end holds all the rest, as in a browser. */
function withoutComments(page: string): string {
  const [before = "", ...rest] = page.split("<!--");
  return [before, ...rest.map((part) => part.split("-->").slice(1).join("-->"))].join("");
}

/** For each visitor that is another machine, and never the host. */
export function isVisitorsMachine({ hostname }: URL): boolean {
  return /^(?:localhost|.*\.localhost|127(?:\.\d+){3}|0\.0\.0\.0|\[::1?\])$/.test(hostname);
}

/** Whether this is the page of another site at which people log in: it is told where to send them back. */
export function isLogin(url: URL, host: string): boolean {
  const values = [...url.searchParams].flat();
  return values.some((value) => value.includes(host)) || /[?&](?:client_id|SAMLRequest|wtrealm)=/i.test(url.search);
}
