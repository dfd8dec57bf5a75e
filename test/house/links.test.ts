import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";
import { withoutLinks } from "../../shared/schema-keys.ts";

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory())
      return /^(node_modules|dist|\.git|\.cache|fixtures)$/.test(entry.name) ? [] : filesIn(path);
    return [path];
  });
}

const files = filesIn(".");
const pages = files.filter((file) => file.endsWith(".md"));

/** Without code blocks, where `[x](y)` is no link and `# x` no heading. */
function prose(file: string): string {
  return readFileSync(file, "utf8").replaceAll(/^```.*?^```/gms, "");
}

/** The anchors that GitHub gives to a page's headings. */
function anchors(file: string): Set<string> {
  const seen = new Map<string, number>();
  const headings = [...prose(file).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = ""]) => {
    const slug = heading
      .replaceAll(/\[([^\]]+)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replaceAll(/[^\p{Letter}\p{Number}\p{Mark} _-]/gu, "")
      .replaceAll(" ", "-");
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    return count === 0 ? slug : `${slug}-${count}`;
  });
  return new Set(headings);
}

/** Where a link leads that does not, or undefined. */
function fault(page: string, link: string): string | undefined {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? page : normalize(join(dirname(page), decodeURIComponent(path)));
  if (!existsSync(target)) return `${link}: there is no ${target}`;
  if (anchor === undefined) return undefined;
  if (!target.endsWith(".md")) return `${link}: ${target} has no anchors`;
  return anchors(target).has(decodeURIComponent(anchor)) ? undefined : `${link}: ${target} has no such heading`;
}

test.each(pages)("each relative link and anchor of %s leads somewhere", (page) => {
  const links = [...prose(page).matchAll(/\]\(([^()\s]+(?:\([^()\s]*\))?)\)/g)].map(([, link = ""]) => link);
  const faults = links.flatMap((link) => (/^[a-z]+:/.test(link) ? [] : (fault(page, link) ?? [])));
  expect(faults).toEqual([]);
});

/** Messages, comments and units name a page by its path from the top, or by its address. (Links of descriptions stand in a page.) */
const named =
  /(?:https:\/\/github\.com\/cutover\/cutover\/tree\/main\/([\w./-]+)(?:#([\w-]+))?|(?<![\w./-])((?:[\w-]+\/)*(?:README|CONTRIBUTING|SECURITY|CHANGELOG)(?:\.zh-CN)?\.md))/g;

test("each page that the code names is there, with the heading that it names", () => {
  const sources = files.filter((file) => /\.(?:ts|8|sh|json|yml)$/.test(file) && !file.endsWith("package-lock.json"));
  const faults = sources.flatMap((file) =>
    [...withoutLinks(readFileSync(file, "utf8")).matchAll(named)].flatMap(([, folder, anchor, path]) => {
      const page = path ?? join(folder ?? "", "README.md");
      const wrong = fault("README.md", anchor === undefined ? page : `${page}#${anchor}`);
      return wrong === undefined ? [] : [`${file}: ${wrong}`];
    }),
  );
  expect(faults).toEqual([]);
});

test("the first page is short, in both languages, and leads to every other page", () => {
  const linked = new Set<string>();
  for (const first of ["README.md", "README.zh-CN.md"]) {
    expect(readFileSync(first, "utf8").trimEnd().split("\n").length, first).toBeLessThanOrEqual(150);
    for (const [, link = ""] of prose(first).matchAll(/\]\(([^()\s#]+)/g)) linked.add(`${first}: ${link}`);
  }
  for (const page of pages.filter((file) => !/^README/.test(file))) {
    expect(linked).toContain(`README.md: ${page}`);
    expect(linked).toContain(`README.zh-CN.md: ${page}`);
  }
});

test("the first page names the five files to read, in their order", () => {
  const order = [
    "action/run.ts",
    "shared/protocol.ts",
    "agent/deploy/deployments.ts",
    "agent/deploy/deploy.ts",
    "agent/main.ts",
  ];
  for (const first of ["README.md", "README.zh-CN.md"]) {
    const links = [...readFileSync(first, "utf8").matchAll(/\]\(([^()]+\.ts)\)/g)].map(([, link]) => link);
    expect(links, first).toEqual(order);
  }
});
