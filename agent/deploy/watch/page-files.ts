/** What a page names that a browser gets next. The page is untrusted text, of which only the beginning is known. */

/** Style sheets and scripts decide whether a page is usable; a picture that is missing is seen in its place. */
const named = /<(?:link\b[^>]*\brel=["']?stylesheet\b[^>]*|script\b[^>]*\bsrc=[^>]*)>/gi;
const address = /\b(?:href|src)=(?:"([^"]*)"|'([^']*)'|([^\s>]+))/i;
/** A comment may hold what was there once. */
const comment = /<!--[\s\S]*?-->/g;

/** So many are asked for. */
const most = 4;

/** The addresses of a page's style sheets and scripts, the first ones. */
export function pageFiles(page: string, base: URL): URL[] {
  const tags = page.replace(comment, "").match(named) ?? [];
  const files = tags.flatMap((tag) => {
    const found = address.exec(tag);
    const file = found
      ?.slice(1)
      .find((each) => each !== undefined)
      ?.replaceAll("&amp;", "&");
    return file !== undefined && URL.canParse(file, base.href) ? [new URL(file, base.href)] : [];
  });
  const web = files.filter(({ protocol }) => protocol === "http:" || protocol === "https:");
  return [...new Map(web.map((url) => [url.href, url])).values()].slice(0, most);
}

/** Where a page sends its visitors by itself (`<meta http-equiv="refresh" content="0; url=...">`), if it does. */
export function refreshTarget(page: string, base: URL): URL | undefined {
  const [tag] = /<meta\b[^>]*http-equiv=["']?refresh\b[^>]*>/i.exec(page.replace(comment, "")) ?? [];
  const [, target] = /\burl=["']?([^"'>\s]+)/i.exec(tag ?? "") ?? [];
  return target !== undefined && URL.canParse(target, base.href) ? new URL(target, base.href) : undefined;
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
