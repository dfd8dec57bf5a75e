import { describe, expect, test } from "vitest";
import { type HostReport, newJobReport } from "../../../action/report/job-report.ts";
import { outcomeSentence, outcomeText } from "../../../action/report/outcome.ts";
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

  test("says what was live before", () => {
    const replacing = (value: string | null) => job([{ ...host("web1:7070", "succeeded", 0), before: value }]);
    expect(outcomeSentence(replacing("r1"), 3400)).toBe(
      "shop is live on web1:7070: r2 (before: r1), 0 requests cut, 2.4s.",
    );
    expect(outcomeSentence(replacing(null), 3400)).toContain("r2 (the first release)");
  });

  test("says of a job that failed what is live now on each host", () => {
    const failure = new CutoverError("health_failed", "it failed");
    const hosts: HostReport[] = [
      { ...host("web1", "failed"), before: "r1" },
      { ...host("web2", "aborted"), before: null },
      { ...host("web3", "rolled_back"), release: "r1" },
      { ...host("web4", "failed"), note: "r2 has the traffic." },
      host("web5", "succeeded"),
      host("web6", "not_started"),
      host("web7", "unknown"),
      host("web8", "aborted"),
    ];
    expect(outcomeSentence({ ...job(hosts), failure }, 3400)).toBe(
      "shop: deploy did not succeed (health_failed), 2.4s. web1: r1 stays live; web2: nothing is live yet; web3: r1 is live again; web4: r2 has the traffic; web5: r2 is live; web6: nothing was changed; web7: not known, see `cutover status` there; web8: what was live stays live.",
    );
    const many = Array.from({ length: 14 }, (_, index) => host(`web${index}`, "aborted"));
    expect(outcomeSentence({ ...job(many), failure }, 3400)).toContain("; and 4 more.");
  });

  test("says of hosts that ended differently how each did, and nothing of a job without hosts", () => {
    const mixed = job([host("a", "succeeded"), host("b", "staged")]);
    expect(outcomeSentence(mixed, 3400)).toBe(
      "shop: deploy ended differently on its hosts, 2.4s. a: r2 is live; b: r2 is staged, without traffic.",
    );
    expect(outcomeSentence(job([]), 3400)).toBeUndefined();
  });

  test("says of a host that was undone for another whose failure it was, and of one that failed itself nothing more", () => {
    const failure = new CutoverError("health_failed", "it failed");
    const failed = (name: string): HostReport => ({ ...host(name, "failed"), failure });
    const undone = host("web1", "aborted");
    expect(outcomeText(undone, [undone, failed("web2")])).toBe("aborted, since web2 failed");
    expect(outcomeText(host("web1", "rolled_back"), [failed("web2"), failed("web3")])).toBe(
      "rolled back, since web2 and 1 more failed",
    );
    expect(outcomeText(undone, [undone, host("web2", "aborted")])).toBe("aborted");
    expect(outcomeText(failed("web2"), [undone, failed("web2"), failed("web3")])).toBe("failed");
  });
});
