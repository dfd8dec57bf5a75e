/** In which environments something is wanted: a set of alternatives, each of which is one marker. */
export type Condition = ReadonlySet<string>;

/** Wanted in every environment. */
export const always: Condition = new Set([""]);
export const never: Condition = new Set();

/** So many ways to one package say nothing any more: it is taken for wanted everywhere, and pip chooses. */
const mostAlternatives = 12;

export function either(a: Condition, b: Condition): Condition {
  const all = [...new Set([...a, ...b])];
  // What holds under fewer conditions makes the stricter alternative needless.
  const kept = all.filter((one) => !all.some((other) => other !== one && includes(one, other)));
  return kept.length > mostAlternatives ? always : new Set(kept);
}

export function both(condition: Condition, marker: string): Condition {
  if (marker === "") return condition;
  return new Set([...condition].map((one) => joined(one, marker)));
}

const glue = " and ";

/** Whether each part of `other` is a part of `one`. */
function includes(one: string, other: string): boolean {
  if (other === "") return true;
  const parts = new Set(one.split(glue));
  return other.split(glue).every((part) => parts.has(part));
}

function joined(one: string, marker: string): string {
  const parts = / or /.test(marker) ? [`(${marker})`] : marker.split(glue);
  return [...new Set([...(one === "" ? [] : one.split(glue)), ...parts])].join(glue);
}

/** One marker for all alternatives. */
export function markerOf(condition: Condition): string {
  const all = [...condition];
  if (all.includes("")) return "";
  const [only = ""] = all;
  if (all.length === 1) return only;
  return all.map((one) => (one.includes(glue) ? `(${one})` : one)).join(" or ");
}

export function equal(a: Condition, b: Condition): boolean {
  return a.size === b.size && [...a].every((one) => b.has(one));
}

/**
 * A marker of a pylock.toml without what only its installer knows (`'dev' in dependency_groups`), which pip would refuse.
 * @param included which extras and groups are installed
 * @returns undefined if it can never hold
 */
export function withoutGroups(marker: string, included: { extras: string[]; groups: string[] }): string | undefined {
  const test = /(["'])([^"']+)\1\s+(not\s+)?in\s+(extras|dependency_groups)/g;
  if (!test.test(marker)) return marker;
  const told = marker.replace(test, (_, _quote, name: string, not: string | undefined, kind: string) => {
    const there = (kind === "extras" ? included.extras : included.groups).includes(name);
    return there === (not === undefined) ? yes : no;
  });
  const value = simplified(told);
  return value === no ? undefined : value === yes ? "" : value;
}

const yes = "TRUE";
const no = "FALSE";

/** Takes TRUE and FALSE out of an expression of `and`, `or` and parentheses. */
function simplified(expression: string): string {
  const tokens =
    expression.match(/\(|\)|\band\b|\bor\b|(?:"[^"]*"|'[^']*'|(?!\band\b|\bor\b)[^()"'\s]|\s+(?!and\b|or\b|\)))+/g) ??
    [];
  let next = 0;
  const alternatives = (): string => {
    const parts = [conjunction()];
    while (tokens[next] === "or") {
      next++;
      parts.push(conjunction());
    }
    if (parts.includes(yes)) return yes;
    const left = parts.filter((part) => part !== no);
    return left.length === 0 ? no : left.join(" or ");
  };
  const conjunction = (): string => {
    const parts = [atom()];
    while (tokens[next] === "and") {
      next++;
      parts.push(atom());
    }
    if (parts.includes(no)) return no;
    const left = parts.filter((part) => part !== yes);
    return left.length === 0 ? yes : left.join(glue);
  };
  const atom = (): string => {
    const token = tokens[next++] ?? yes;
    if (token !== "(") return token.trim();
    const inner = alternatives();
    next++;
    return / or /.test(inner) ? `(${inner})` : inner;
  };
  return alternatives();
}
