// @ts-check
/** Puts what the server sends into the page. All markup is made and escaped by the server. */

/** Parts that came while the person had marked text in them. @type {Map<string, string>} */
const waiting = new Map();

/** @param {string} id @param {string} markup */
function put(id, markup) {
  const part = document.getElementById(id);
  if (part === null) return;
  if (isMarked(part)) {
    waiting.set(id, markup);
    return;
  }
  waiting.delete(id);
  const focused = part.contains(document.activeElement) ? document.activeElement?.id : undefined;
  const open = [...part.querySelectorAll("details[open]")].map((details) => details.id);
  const scrolled = [...part.querySelectorAll("pre, .scroll")].map(({ id, scrollTop, scrollLeft }) => ({
    id,
    scrollTop,
    scrollLeft,
  }));
  part.innerHTML = markup;
  for (const name of open) document.getElementById(name)?.setAttribute("open", "");
  for (const { id: name, scrollTop, scrollLeft } of scrolled)
    document.getElementById(name)?.scrollTo(scrollLeft, scrollTop);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

/** @param {Element} part */
function isMarked(part) {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && part.contains(selection.anchorNode);
}

/** @param {string} text why what is seen is old; empty: it is not */
function showLost(text) {
  const lost = document.getElementById("lost");
  if (lost === null) return;
  lost.hidden = text === "";
  if (text !== "" && lost.textContent !== text) lost.textContent = text;
}

const { live } = document.body.dataset;
const ended = document.getElementById("lost")?.textContent ?? "";
if (live) {
  const source = new EventSource(live);
  source.addEventListener("part", ({ data }) => {
    const { id, html } = JSON.parse(data);
    if (id === "lost") showLost(new DOMParser().parseFromString(html, "text/html").body.textContent ?? "");
    else put(id, html);
  });
  source.addEventListener("open", () => showLost(""));
  source.addEventListener("error", () => showLost(ended));
  addEventListener("pagehide", () => source.close());
}
document.addEventListener("selectionchange", () => {
  for (const [id, markup] of waiting) put(id, markup);
});
