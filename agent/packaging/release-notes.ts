export interface ReleaseSources {
  /** The tag, such as v1.2.3 or v1.2.3-rc.1. */
  tag: string;
  /** The version in package.json. */
  version: string;
  /** The text of CHANGELOG.md. */
  changelog: string;
}

/**
 * The section of CHANGELOG.md for the version of a tag, for the release on GitHub.
 * @throws Error for a tag that must not be released: of another version than package.json has, or without a dated section
 */
export function releaseNotes({ tag, version, changelog }: ReleaseSources): string {
  if (!/^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.]+)?$/.test(tag)) {
    throw new Error(`${tag} is not a release tag: write it as v1.2.3 or v1.2.3-rc.1`);
  }
  if (tag !== `v${version}`) {
    throw new Error(
      `the tag is ${tag}, but package.json has version ${version}: release v${version}, or change package.json`,
    );
  }
  const [release = ""] = version.split("-");
  // A release candidate uses the section of its release, unless it has its own.
  const section = sectionOf(changelog, version) ?? sectionOf(changelog, release);
  if (section === undefined) throw new Error(`CHANGELOG.md has no section "## ${version} - " and a date`);
  if (version === release && !/^\d{4}-\d{2}-\d{2}$/.test(section.date)) {
    throw new Error(
      `CHANGELOG.md has "${section.date}" for ${version}: put the day of the release there, such as 2027-01-31`,
    );
  }
  if (section.text === "") throw new Error(`CHANGELOG.md has an empty section for ${version}`);
  return `${section.text}\n`;
}

function sectionOf(changelog: string, version: string): { date: string; text: string } | undefined {
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((text) => text.startsWith(`${version} - `));
  if (section === undefined) return undefined;
  const [heading = "", ...lines] = section.split("\n");
  return { date: heading.slice(`${version} - `.length), text: lines.join("\n").trim() };
}
