export interface ReleaseSources {
  /** As it was pushed, such as v1.2.3 or v1.2.3-rc.1. */
  tag: string;
  /** What package.json says. */
  version: string;
  /** The text of CHANGELOG.md. */
  changelog: string;
}

/**
 * What CHANGELOG.md says about the version of a tag, for the release on GitHub.
 * @throws Error for a tag that must not be released: of another version than package.json has, or without a dated section
 */
export function releaseNotes({ tag, version, changelog }: ReleaseSources): string {
  if (!/^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.]+)?$/.test(tag)) {
    throw new Error(`${tag} is no tag of a release: it must be such as v1.2.3 or v1.2.3-rc.1`);
  }
  if (tag !== `v${version}`) {
    throw new Error(
      `the tag is ${tag}, but package.json has version ${version}: release v${version}, or change package.json`,
    );
  }
  const [release = ""] = version.split("-");
  // A release candidate has what its release will have, unless it has a section of its own.
  const section = sectionOf(changelog, version) ?? sectionOf(changelog, release);
  if (section === undefined) throw new Error(`CHANGELOG.md has no section "## ${version} - " and a date`);
  if (version === release && !/^\d{4}-\d{2}-\d{2}$/.test(section.date)) {
    throw new Error(
      `CHANGELOG.md has "${section.date}" for ${version}: put the day of the release there, such as 2027-01-31`,
    );
  }
  if (section.text === "") throw new Error(`CHANGELOG.md says nothing about ${version}`);
  return `${section.text}\n`;
}

function sectionOf(changelog: string, version: string): { date: string; text: string } | undefined {
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((text) => text.startsWith(`${version} - `));
  if (section === undefined) return undefined;
  const [heading = "", ...lines] = section.split("\n");
  return { date: heading.slice(`${version} - `.length), text: lines.join("\n").trim() };
}
