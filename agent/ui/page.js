// @ts-check
/** Puts what the server sends into the page. All markup is made and escaped by the server. */

/** @param {string} id @param {string} markup */
function put(id, markup) {
  const part = document.getElementById(id);
  if (part === null) return;
  const focused = part.contains(document.activeElement) ? document.activeElement?.id : undefined;
  const fresh = document.createElement("template");
  fresh.innerHTML = markup;
  adopt(part, fresh.content);
  if (focused && document.activeElement?.id !== focused)
    document.getElementById(focused)?.focus({ preventScroll: true });
}

/**
 * Changes only what differs. An element that stays the same element keeps its focus, its place, what is marked in it, and a
 * click that has begun.
 * @param {Element} part @param {Element | DocumentFragment} fresh
 */
function adopt(part, fresh) {
  const before = [...part.childNodes];
  const after = [...fresh.childNodes];
  for (const [index, node] of after.entries()) {
    const old = before[index];
    if (old === undefined) part.append(node);
    else if (!change(old, node)) old.replaceWith(node);
  }
  for (const old of before.slice(after.length)) old.remove();
}

/** @param {ChildNode} old @param {ChildNode} node @returns {boolean} whether it could become the other one */
function change(old, node) {
  if (old instanceof Text && node instanceof Text) {
    if (old.data !== node.data) old.data = node.data;
    return true;
  }
  if (!(old instanceof Element && node instanceof Element)) return false;
  if (old.tagName !== node.tagName || old.id !== node.id) return false;
  // What the person has opened stays open, and what is closed stays closed.
  node.toggleAttribute("open", old.hasAttribute("open"));
  for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!node.hasAttribute(name)) old.removeAttribute(name);
  adopt(old, node);
  return true;
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
