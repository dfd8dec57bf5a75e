import { expect, test } from "vitest";
import { systemClock } from "../../../agent/host/clock.ts";

test("a sleep ends with the signal's own reason", async () => {
  const controller = new AbortController();
  const sleep = systemClock.sleep(10_000, controller.signal);
  controller.abort(new Error("enough"));
  await expect(sleep).rejects.toThrow("enough");
  await expect(systemClock.sleep(0, controller.signal)).rejects.toThrow("enough");
  await systemClock.sleep(1);
});
