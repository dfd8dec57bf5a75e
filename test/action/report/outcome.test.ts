import { describe, expect, test } from "vitest";
import { type HostReport, newJobReport } from "../../../action/report/job-report.ts";
import { outcomeSentence } from "../../../action/report/outcome.ts";
import { CutoverError } from "../../../shared/errors.ts";

const host = (name: string, outcome: HostReport["outcome"], cut?: number): HostReport => ({
  ...{ host: name, outcome, release: "r2", phases: [] },
  ...(cut !== undefined && { cut }),
});
const job = (hosts: HostReport[]) => ({ ...newJobReport("deploy", 1000), app: "shop", hosts });

describe("the end of a job in one sentence", () => {
  test("says what is live, where, how many requests were cut, and how long it took", () => {
    const one = { ...job([host("web1:7070", "succeeded", 0)]), url: "https://shop.example.com" };
    expect(outcomeSentence(one, 3400)).toBe(
      "shop is live on web1:7070 at https://shop.example.com: r2, 0 requests cut, 2.4s.",
    );
    const two = job([host("web1:7070", "succeeded", 1), host("web2:7070", "succeeded")]);
    expect(outcomeSentence(two, 3400)).toBe("shop is live on 2 hosts: r2, 1 request cut, 2.4s.");
  });

  test("says that a staged release has no traffic, and that a dry run sent nothing", () => {
    expect(outcomeSentence(job([host("web1:7070", "staged")]), 3400)).toContain("staged on web1:7070, without traffic");
    expect(outcomeSentence({ ...job([]), dryRun: true }, 3400)).toBe(
      "Dry run: shop was checked and packed in 2.4s. Nothing was sent.",
    );
  });

  test("promises nothing of a job that failed, or whose hosts ended differently", () => {
    const failure = new CutoverError("health_failed", "it failed");
    expect(outcomeSentence({ ...job([host("web1:7070", "succeeded")]), failure }, 3400)).toBeUndefined();
    expect(outcomeSentence(job([host("a", "succeeded"), host("b", "staged")]), 3400)).toBeUndefined();
    expect(outcomeSentence(job([]), 3400)).toBeUndefined();
  });
});
