/**
 * Poetry's constraints (`^1.2`, `~1.2`, `1.*`, `>=1,<2`) in the words of PEP 440; each inner list holds together, and one of
 * the outer ones has to. `[[]]` admits every version.
 */
export function alternativesOf(constraint: string): string[][] {
  return constraint.split(/\|\|?/).map((part) =>
    part
      .trim()
      .replace(/([<>=!~^])\s+/g, "$1")
      .split(/\s*,\s*|\s+/)
      .filter((one) => one !== "" && one !== "*")
      .flatMap(specifiersOf),
  );
}

function specifiersOf(one: string): string[] {
  const [, operator = "", version = ""] = /^(\^|~=|~|===?|!=|[<>]=?)?(.+)$/.exec(one) ?? [];
  switch (operator) {
    case "^":
      return [`>=${version}`, `<${caretEnd(version)}`];
    case "~":
      return [`>=${version}`, `<${tildeEnd(version)}`];
    case "":
      return [`==${version}`];
    default:
      return [`${operator}${version}`];
  }
}

/** The first number that is not 0 may not change. */
function caretEnd(version: string): string {
  const parts = numbers(version);
  const first = parts.findIndex((part) => part !== 0);
  return raised(parts, first < 0 ? parts.length - 1 : first);
}

function tildeEnd(version: string): string {
  const parts = numbers(version);
  return raised(parts, Math.min(1, parts.length - 1));
}

function raised(parts: number[], index: number): string {
  return parts
    .slice(0, index + 1)
    .map((part, place) => (place === index ? part + 1 : part))
    .join(".");
}

function numbers(version: string): number[] {
  const [release = ""] = /^\d+(?:\.\d+)*/.exec(version) ?? [];
  return release === "" ? [0] : release.split(".").map(Number);
}

/** Whether a final version is among those that a constraint of Poetry admits. */
export function admits(constraint: string, version: string): boolean {
  return alternativesOf(constraint).some((specifiers) => specifiers.every((one) => fits(one, version)));
}

function fits(specifier: string, version: string): boolean {
  const [, operator = "", wanted = ""] = /^(~=|===?|!=|[<>]=?)(.+)$/.exec(specifier) ?? [];
  const star = wanted.endsWith(".*");
  const order = compare(version, star ? wanted.slice(0, -2) : wanted);
  const same = star ? prefixed(version, wanted.slice(0, -2)) : order === 0;
  switch (operator) {
    case "==":
    case "===":
      return same;
    case "!=":
      return !same;
    case ">=":
      return order >= 0;
    case ">":
      return order > 0;
    case "<=":
      return order <= 0;
    case "<":
      return order < 0;
    default:
      return order >= 0 && prefixed(version, wanted.split(".").slice(0, -1).join("."));
  }
}

function prefixed(version: string, prefix: string): boolean {
  const [all, start] = [numbers(version), numbers(prefix)];
  return start.every((part, index) => (all[index] ?? 0) === part);
}

function compare(a: string, b: string): number {
  const [one, other] = [numbers(a), numbers(b)];
  for (let index = 0; index < Math.max(one.length, other.length); index++) {
    const difference = (one[index] ?? 0) - (other[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** `python = "^3.8"` of a dependency as a marker; empty if it says nothing. */
export function pythonMarker(constraint: string): string {
  const parts = alternativesOf(constraint).map((specifiers) =>
    specifiers.map((one) => {
      const [, operator = "", version = ""] = /^(~=|===?|!=|[<>]=?)(.+)$/.exec(one) ?? [];
      const variable = numbers(version).length > 2 ? "python_full_version" : "python_version";
      return `${variable} ${operator} "${version}"`;
    }),
  );
  if (parts.some((one) => one.length === 0)) return "";
  if (parts.length === 1) return (parts[0] ?? []).join(" and ");
  return parts.map((one) => (one.length > 1 ? `(${one.join(" and ")})` : one.join(""))).join(" or ");
}
