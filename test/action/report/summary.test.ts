import { describe, expect, it } from "vitest";
import { type HostReport, type JobReport, newJobReport } from "../../../action/report/job-report.ts";
import { renderSummary } from "../../../action/report/summary.ts";
import { CutoverError } from "../../../shared/errors.ts";

const hostile =
  '<img src=x onerror=alert(1)>\n\n# Heading [link](https://evil) `code` @someone | x\n```\nclick "A" call()';

function report(hosts: HostReport[]): JobReport {
  return { ...newJobReport("deploy", 1000), app: "shop", release: "20261121T103000Z-3f2c1ab", hosts };
}

function failed(host: string, evidence = hostile): HostReport {
  const failure = new CutoverError("health_failed", hostile, {
    fix: hostile,
    evidence: [{ source: hostile, text: evidence }],
  });
  const phases = [{ name: "upload", start: 1500, took: 250 }];
  return { host, outcome: "failed", release: "20261121T103000Z-3f2c1ab", phases, failure };
}

describe("the job summary", () => {
  it("shows hosts, release, outcome and time as a table, and the phases as a gantt", () => {
    const phases = [{ name: "cut over", start: 3000, took: 1200 }];
    const text = renderSummary(report([{ host: "web1:7070", outcome: "succeeded", release: "r1", phases }]));
    expect(text).toContain("<td>web1&#58;7070</td><td><code>r1</code></td><td><b>live</b></td><td>1.2s</td>");
    const visitors = "1,204 requests by the new release: 0.0 % 5xx, p95 84 ms";
    const seen = renderSummary(report([{ host: "web1:7070", outcome: "succeeded", release: "r1", phases, visitors }]));
    expect(seen).toContain("<b>live</b><br>1,204 requests by the new release&#58; 0.0 % 5xx, p95 84 ms</td>");
    expect(text).toContain("```mermaid\ngantt\n");
    expect(text).toContain("  section web1 7070\n  cut over (1.2s) :2000, 3200\n```");
  });

  it("escapes everything that is not its own, in HTML, in Markdown and in Mermaid", () => {
    const text = renderSummary(
      report([failed("web1:7070"), { ...failed(hostile), phases: [{ name: hostile, start: 0, took: 1 }] }]),
    );
    expect(text).not.toContain("<img");
    expect(text).not.toContain("[link]");
    expect(text).not.toContain("@someone");
    expect(text).not.toContain("\n# Heading");
    expect(text.match(/```/g)).toHaveLength(2);
  });

  it("leaves no empty line inside of HTML, after which Markdown would begin", () => {
    const text = renderSummary(report([failed("web1")]));
    for (const block of text.split("\n\n").filter((part) => part.startsWith("<"))) {
      const opened = block.match(/<(table|details(?: open)?|pre)>/g)?.length ?? 0;
      expect(block.match(/<\/(table|details|pre)>/g)?.length ?? 0).toBe(opened);
    }
  });

  it("stays below GitHub's limit of 1 MiB, however much the hosts said", () => {
    const many = Array.from({ length: 300 }, (_, index) => failed(`web${index}`, "&\n".repeat(500_000)));
    expect(Buffer.byteLength(renderSummary(report(many)))).toBeLessThan(1024 * 1024);
  });

  it("tells a failure that came before any host", () => {
    const failure = new CutoverError("config_invalid", "cutover.yml:3:1: servr: unknown key", {
      fix: "Correct this line.",
    });
    expect(renderSummary({ ...report([]), failure })).toContain("<b>config_invalid</b><br>cutover.yml&#58;3&#58;1");
  });

  it("shows the first output open, and what was printed several times once", () => {
    const traceback = 'Traceback (most recent call last):\n  File "app.py", line 2, in app\nRuntimeError: boom\n';
    const web = (pid: number) =>
      `[2026-11-26 21:14:58 +0000] [${pid}] [ERROR] Error\n${traceback}[2026-11-26 21:14:59 +0000] [${pid}] [ERROR] Error\n${traceback}`;
    const evidence = ["web-0", "web-1"].map((source, index) => ({ source, text: web(100 + index) }));
    const failure = new CutoverError("health_failed", "it failed", { evidence });
    const text = renderSummary(report([{ ...failed("web1"), failure }]));
    expect(text.match(/RuntimeError/g)).toHaveLength(1);
    expect(text).toContain("[the same traceback again]".replace("[", "&#91;").replace("]", "&#93;"));
    expect(text).toContain("the same as web-0");
    expect(text.match(/<details open>/g)).toHaveLength(1);
    expect(text.match(/<details>/g)).toHaveLength(1);
  });
});
