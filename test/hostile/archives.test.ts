import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CutoverError } from "../../shared/errors.ts";
import { makeBundle } from "../fixtures/bundle.ts";
import { goodBundle, type HostileArchive, pathed } from "./archives/archive.ts";
import { archives } from "./archives/index.ts";
import { thin } from "./archives/thin.ts";
import { liveRelease, Victim } from "./archives/victim.ts";

let victim: Victim;
beforeAll(async () => {
  victim = await Victim.start();
});
afterAll(() => victim?.[Symbol.dispose]());

async function expectRefused({ code, reason, make }: HostileArchive, pieces = [4096]): Promise<void> {
  const before = victim.snapshot();
  const body = make();
  for (const piece of pieces) {
    const refusal = await victim.refusalOf(body, { piece });
    expect(refusal).toBeInstanceOf(CutoverError);
    const { message } = refusal as CutoverError;
    expect({ code: (refusal as CutoverError).code, message }).toEqual({ code, message: expect.stringMatching(reason) });
    expect(message.length).toBeLessThan(4000);
  }
  expect(victim.snapshot()).toEqual(before);
}

/** Pieces that end where a good stream ends are the ones that hide what follows. */
function piecesOf(group: string): number[] {
  const { tar, body } = goodBundle();
  return group === "streams" ? [4096, body.length, gzipSync(tar).length] : [4096];
}

describe.each(Object.entries(archives))(
  "a bundle is refused whole, nothing is written, nothing left: %s",
  (group, cases) => {
    test.each(cases.map((each) => [each.name, each] as const))("%s", (_, each) => expectRefused(each, piecesOf(group)));
  },
);

describe("a thin bundle is refused whole, nothing is written, nothing left", () => {
  test.each(thin.map((each) => [each.name, each] as const))(
    "%s",
    async (_name, { code, reason, make, prepare, base }) => {
      using other = await Victim.start();
      other.forgetObjects();
      prepare?.(other.layout.release(liveRelease), other.root);
      const before = other.snapshot();
      const refusal = await other.refusalOf(make(other.live), { base: base ?? liveRelease });
      expect(refusal).toMatchObject({ code, message: expect.stringMatching(reason) });
      expect(other.snapshot()).toEqual(before);
      const { body, digest } = goodBundle();
      await other.unpack({ body, digest });
    },
  );
});

describe("after all of them", () => {
  test("no two have the same name", () => {
    const names = [...Object.values(archives), thin].flatMap((cases: { name: string }[]) =>
      cases.map(({ name }) => name),
    );
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  test.each([1, 511, 4096, 1_000_000])("the same bundle unchanged is taken, in pieces of %i bytes", async (piece) => {
    const { manifest, ...good } = goodBundle();
    const before = victim.snapshot();
    await victim.unpack(good, { piece });
    const status = manifest.files.map(({ path }) => lstatSync(join(victim.layout.release(manifest.release), path)));
    expect(status.map(({ mode }) => mode & 0o7777)).toEqual(manifest.files.map(({ mode }) => mode));
    expect(new Set(status.map(({ uid, nlink }) => `${uid} ${nlink}`))).toEqual(new Set([`${process.getuid?.()} 2`]));
    await victim.remove(manifest.release);
    expect(victim.snapshot()).toEqual(before);
  });

  test("twins by case and by Unicode form are two files each, as on the machine that packed them", async () => {
    const twins = { "app/Makefile": "one", "app/makefile": "two", "app/\u00fc": "three", "app/u\u0308": "four" };
    const { bytes, digest, manifest } = makeBundle({ files: twins });
    await victim.unpack({ body: bytes, digest });
    for (const [path, content] of Object.entries(twins)) {
      expect(readFileSync(join(victim.layout.release(manifest.release), path), "utf8")).toBe(content);
    }
    await victim.remove(manifest.release);
  });

  test("the longest and deepest paths that the grammar has are taken", async () => {
    const deep = `app${"/d".repeat(63)}`;
    const long = `app/${`${"x".repeat(254)}/`.repeat(4)}`.slice(0, 1023).concat("y");
    const part = `app/${"ü".repeat(127)}z`;
    const paths = [deep, long, part].toSorted();
    const made = makeBundle({ files: Object.fromEntries(paths.map((path) => [path, path])) });
    await victim.unpack({ body: made.bytes, digest: made.digest });
    await victim.remove(made.manifest.release);
    const { code } = (await victim.refusalOf(pathed(`${deep}/d`)())) as CutoverError;
    expect(code).toBe("manifest_invalid");
  });
});
