import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { StateFiles } from "../../../../agent/host/store/state-file.ts";
import { scratch } from "../scratch.ts";

describe("a state", () => {
  test("is undefined before it was saved, and then what was saved last", async () => {
    const data = scratch();
    const states = new StateFiles(data);
    expect(await states.load("shop")).toBeUndefined();
    await Promise.all([1, 2, 3].map((count) => states.save("shop", { count })));
    expect(await states.load("shop")).toEqual({ count: 3 });
    expect(await new StateFiles(data).load("shop")).toEqual({ count: 3 });
  });

  test("is for the agent alone, and leaves no other file", async () => {
    const data = scratch();
    const { home, state } = appLayout(data, "shop");
    mkdirSync(home, { recursive: true });
    writeFileSync(`${state}.tmp`, "{ torn by a cra");
    await new StateFiles(data).save("shop", {});
    expect(statSync(state).mode & 0o777).toBe(0o600);
    expect(readdirSync(home)).toEqual(["state.json"]);
  });

  test("that is torn holds the app, naming the file", async () => {
    const data = scratch();
    const { home, state } = appLayout(data, "shop");
    mkdirSync(home, { recursive: true });
    writeFileSync(state, '{"live": ');
    await expect(new StateFiles(data).load("shop")).rejects.toMatchObject({
      code: "state_unreadable",
      message: expect.stringContaining(state),
      fix: expect.stringContaining(state),
    });
  });

  test("is kept beside itself before it is made anew, however it looks", async () => {
    const data = scratch();
    const { home, state } = appLayout(data, "shop");
    const states = new StateFiles(data);
    expect(await states.keepCopy("shop")).toBeUndefined();
    mkdirSync(home, { recursive: true });
    writeFileSync(state, '{"live": ');
    const copy = await states.keepCopy("shop");
    expect(copy).toBe(`${state}.before-repair`);
    expect(readFileSync(copy ?? "", "utf8")).toBe('{"live": ');
    expect(readFileSync(state, "utf8")).toBe('{"live": ');
  });

  test("that cannot be written is an error, and the next one is tried", async () => {
    const data = scratch();
    const states = new StateFiles(data);
    const { home, state } = appLayout(data, "shop");
    mkdirSync(state, { recursive: true });
    await expect(states.save("shop", {})).rejects.toThrow();
    expect(readdirSync(home)).toEqual(["state.json"]);
    await expect(states.save("shop", {})).rejects.toThrow();
  });
});
