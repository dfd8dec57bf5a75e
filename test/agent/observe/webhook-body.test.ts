import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { jsonBody, jsonReport, signature, slackBody, slackReport } from "../../../agent/observe/webhook-body.ts";
import type { DeploymentView } from "../../../shared/protocol.ts";

const view: DeploymentView = {
  id: "AAAAAAAAAAAAAAAAAAAAAA",
  app: "shop",
  kind: "deploy",
  release: "20261121T103000Z-3f2c1ab",
  state: "done",
  outcome: "succeeded",
  by: { subject: "ci", repository: "acme/shop", run_url: "https://github.com/acme/shop/actions/runs/1" },
  started: "2026-11-21T10:30:00.000Z",
  finished: "2026-11-21T10:30:04.500Z",
  phases: [{ state: "verified", took: 12 }],
};
const failed: DeploymentView = {
  ...view,
  outcome: "failed",
  failure: {
    code: "health_failed",
    detail: "<!channel> & `web-0` answered 500.",
    unchanged: "The live release goes on serving.",
    fix: "Look.",
    evidence: [{ source: "web-0", text: "password=hunter2" }],
  },
};

test("plain JSON says how a deployment ended", () => {
  expect(JSON.parse(jsonBody(view, "web1:7070"))).toEqual({
    event: "succeeded",
    host: "web1:7070",
    app: "shop",
    deployment: view.id,
    kind: "deploy",
    release: view.release,
    by: view.by,
    started: view.started,
    finished: view.finished,
    took: 4500,
    phases: view.phases,
  });
});

test("a failure has its fix, and nothing that the app has printed", () => {
  const body = jsonBody(failed, "web1:7070");
  expect(JSON.parse(body)).toMatchObject({ event: "failed", failure: { code: "health_failed", fix: "Look." } });
  expect(body).not.toContain("hunter2");
  expect(slackBody(failed, "web1:7070")).not.toContain("hunter2");
});

test("Slack gets a message, in which no text is a link, a mention or a command", () => {
  expect(JSON.parse(slackBody(view, "web1:7070"))).toEqual({
    text: [
      ":white_check_mark: Deploy of *shop* on web1:7070: *succeeded* in 4.5s",
      "Release `20261121T103000Z-3f2c1ab`",
      "By acme/shop: <https://github.com/acme/shop/actions/runs/1|run>",
    ].join("\n"),
  });
  const { text } = JSON.parse(slackBody(failed, "web1:7070"));
  expect(text).toContain("`health_failed` &lt;!channel&gt; &amp; 'web-0' answered 500.");
  const odd = { ...view, by: { subject: "<@U1>", run_url: "https://x.example/a|b>c" } };
  expect(JSON.parse(slackBody(odd, "h")).text).toContain("By &lt;@U1&gt;: <https://x.example/a%7Cb%3Ec|run>");
});

test("instances that do not run are named, and those that run again", () => {
  const instances = [{ name: "web-0", state: "FATAL" as const, detail: "Exited too quickly" }];
  const about = { app: "shop", run: "20261121T103000Z-3f2c1ab.2", instances, since: "2026-11-21T10:30:00.000Z" };
  expect(JSON.parse(jsonReport({ event: "instances_down", ...about }, "web1:7070"))).toEqual({
    ...{ event: "instances_down", host: "web1:7070", ...about, release: "20261121T103000Z-3f2c1ab" },
  });
  const text = (event: "instances_down" | "instances_up") => JSON.parse(slackReport({ event, ...about }, "h")).text;
  expect(text("instances_down")).toBe(
    ":rotating_light: `web-0` (FATAL) of *shop* on h: *down* since 2026-11-21T10:30:00.000Z\nRelease `20261121T103000Z-3f2c1ab`",
  );
  expect(text("instances_up")).toContain(":white_check_mark: All live instances of *shop* on h run again.");
});

test("a signature is the HMAC over the timestamp, a dot and the body", () => {
  const mac = createHmac("sha256", "s3cret").update('1700000000.{"a":1}').digest("hex");
  expect(signature("s3cret", 1_700_000_000, '{"a":1}')).toBe(`v1=${mac}`);
});
