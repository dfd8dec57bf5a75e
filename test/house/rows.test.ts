import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** For each thing that may happen to a host the test that tells what becomes of it: file and title. */
const deploy = "test/agent/deploy";
const e2e = "test/e2e";
const rows: Record<string, [file: string, title: string]> = {
  // Rollback, redeploy, abort, pin
  "rollback: relative to what is live": [
    `${deploy}/watch/revert.test.ts`,
    "is relative to what is live, not to what is newest",
  ],
  "rollback: only to good releases": [`${deploy}/watch/revert.test.ts`, "goes only to good releases"],
  "rollback: while a deploy is running": [
    `${deploy}/watch/revert.test.ts`,
    "while a deploy is running is refused with the holder, or waits",
  ],
  "rollback: twice in a row": [`${deploy}/watch/revert.test.ts`, "twice in a row goes back twice"],
  "rollback: to a release whose environment was pruned": [
    `${e2e}/upkeep.test.ts`,
    "whose environment was pruned builds it again",
  ],
  "rollback: over a release command": [
    "test/agent/cli/commands/upkeep.test.ts",
    "says so before it goes, and asks a person",
  ],
  "redeploy: relative to what is live": [`${deploy}/watch/revert.test.ts`, "is of what is live after a rollback"],
  "redeploy: while a deploy is running": [
    `${deploy}/watch/revert.test.ts`,
    "while a deploy is running is refused with the holder",
  ],
  "redeploy: twice in a row": [`${deploy}/watch/revert.test.ts`, "twice in a row is two sets of fresh instances"],
  "abort: of a running deploy": [
    `${deploy}/deploy.test.ts`,
    "an abort before the cutover undoes; after it, it is refused",
  ],
  "abort: twice in a row": [`${deploy}/watch/revert.test.ts`, "an abort twice in a row is refused the second time"],
  "pin: keeps from pruning": [`${e2e}/upkeep.test.ts`, "a pinned release stays on the disk while others are pruned"],
  "pin: while a deploy is running": [`${deploy}/watch/revert.test.ts`, "works while a deploy is running"],
  "pin: only of a good release": [
    `${deploy}/watch/revert.test.ts`,
    "of a release that is not here, or that failed, is refused",
  ],
  // Locks
  "lock: one deployment an app": [
    `${e2e}/bad-deployments.test.ts`,
    "the second is told who holds the app, and changes nothing",
  ],
  "lock: many apps at once": [`${deploy}/queue/queue.test.ts`, "many apps are deployed at once, each by its own"],
  "lock: the holder is named": [
    `${deploy}/queue/queue.test.ts`,
    "is named with its repository, its run and since when",
  ],
  "lock: the client is gone in an upload": [
    `${deploy}/queue/queue.test.ts`,
    "ends when its client is gone in the middle of an upload",
  ],
  "lock: the client is gone after the stage": [
    `${deploy}/deploy.test.ts`,
    "not longer than it asks for its deployment",
  ],
  "lock: --wait": ["test/agent/cli/commands/commands.test.ts", "--wait is how long a command waits"],
  "lock: wait of the Action": [`${e2e}/bad-deployments.test.ts`, "the second waits when the input `wait` asks for it"],
  "lock: the turn comes, or the time is over": [`${deploy}/queue/queue.test.ts`, "who waits gets the next turn"],
  "lock: two agents on one directory": [
    "test/torture/torture.test.ts",
    "a second agent over the same directory refuses to start",
  ],
  // Housekeeping
  "prune: by state and keep": [`${deploy}/retention/housekeeping.test.ts`, "pruning is by state and by `keep`"],
  "prune: venvs by use": ["test/agent/host/python/environments.test.ts", "is removed when no kept release links to it"],
  "prune: logs and events with what used them": [
    `${deploy}/retention/housekeeping.test.ts`,
    "environments, logs and events go with what used them",
  ],
  "prune: logs by size": [`${deploy}/retention/housekeeping.test.ts`, "logs are bounded by size"],
  "prune: the audit log by size": ["test/agent/host/store/audit-files.test.ts", "the audit log is bounded: by size"],
  "prune: fails for a moment": [`${deploy}/faults-once.test.ts`, "a prune that fails once is done at the second try"],
  "disk: needed, free, and what pruning would give": [
    `${deploy}/retention/housekeeping.test.ts`,
    "the disk is checked before an upload is read",
  ],
  "disk: pruning is not enough": [`${deploy}/retention/housekeeping.test.ts`, "told also where it is not enough"],
  "disk: pruning is enough": [`${e2e}/bad-disk.test.ts`, "but older releases that make enough room go first"],
  "disk: full": [`${e2e}/bad-disk.test.ts`, "where not a byte is free, and the next one works"],
  "disk: no files left": [`${e2e}/bad-disk.test.ts`, "where the files run out while it is unpacked"],
  // When the others fail
  "supervisord: restarted": [
    `${e2e}/others-fail.test.ts`,
    "restarted in the middle of a deploy: its programs come back",
  ],
  "supervisord: dead before a deploy": [`${e2e}/others-fail.test.ts`, "dead: visitors are served all the same"],
  "supervisord: dead during a deploy": [
    `${e2e}/others-fail.test.ts`,
    "dead in the middle of a deploy: the deploy fails",
  ],
  "supervisord: another's file is broken": [
    "test/agent/host/privileged.test.ts",
    "a broken file of someone else stops a start, is named",
  ],
  "nginx: stopped before a deploy": [`${e2e}/others-fail.test.ts`, "stopped: visitors are refused by the kernel"],
  "nginx: stopped during a deploy": [
    `${e2e}/others-fail.test.ts`,
    "stopped in the middle of a deploy: the deploy goes on",
  ],
  "nginx: reloaded by hand": [
    `${e2e}/others-fail.test.ts`,
    "reloaded by hand in the middle of a deploy: no request fails",
  ],
  "nginx: broken by another site's file": [`${e2e}/others-fail.test.ts`, "is told whose file it is"],
  "instance: in a crash loop": [`${e2e}/others-fail.test.ts`, "costs visitors nothing while another one is well"],
  "instance: of the new release in a crash loop": [
    "test/agent/host/privileged.test.ts",
    "a run that cannot start shows why",
  ],
  "port: of the site taken by a stranger": [
    "test/agent/host/net/taken-addresses.test.ts",
    "an address that another program has is refused before",
  ],
  "port: of an instance taken by a stranger": [
    "test/agent/host/net/run-ports.test.ts",
    "a port that was taken between the choice and the start",
  ],
  "clock: an hour forward or back in a deploy": [
    `${deploy}/clock-jumps.test.ts`,
    "ends no wait early and lengthens none",
  ],
  "clock: an hour forward or back in a watch": [
    `${deploy}/clock-jumps.test.ts`,
    "changes nothing of how long a release is watched",
  ],
  "clock: an hour forward while one waits": [
    `${deploy}/clock-jumps.test.ts`,
    "waits as long as was asked, whatever the clock does",
  ],
  "clock: spent tokens": ["test/agent/host/trust/used-tokens.test.ts", "brings no spent token back"],
  "memory: the agent's limit": [
    `${e2e}/others-fail.test.ts`,
    "reached in the middle of an upload ends the agent alone",
  ],
  // Shut-down
  "shut-down: each step before the cutover": [
    `${deploy}/recovery/shut-down.test.ts`,
    "that step ends, and the next start goes on after %s",
  ],
  "shut-down: the health check": [`${deploy}/recovery/shut-down.test.ts`, "shut down during the health check"],
  "shut-down: after the cutover": [
    `${deploy}/recovery/shut-down.test.ts`,
    "the traffic has moved, and the next start watches and drains",
  ],
  "shut-down: in an upload": [`${deploy}/recovery/shut-down.test.ts`, "a bundle that is still coming cannot go on"],
  "shut-down: in a hand-over of processes": [
    `${deploy}/steps/processes.test.ts`,
    "gives the live run its processes back, and the next start goes on",
  ],
  "shut-down: in a release command": [
    `${e2e}/shut-down.test.ts`,
    "waits for a release command only for a while, ends it",
  ],
  "shut-down: in a rollback, a redeploy, a canary's step": [
    `${deploy}/recovery/shut-down.test.ts`,
    "a rollback, a redeploy and a canary's step go on too",
  ],
  "shut-down: within 10 s, and the job is green": [
    `${e2e}/shut-down.test.ts`,
    "also in the middle of a deploy, which goes on, and whose job is green",
  ],
  "upgrade: costs no request": [
    `${e2e}/shut-down.test.ts`,
    "upgrading the agent while an app is live costs no request",
  ],
  // Observability
  "log: one id through a deployment": ["test/agent/http/observed.test.ts", "one id goes through the log"],
  "metrics: deploys, phases, live release, instances, slots": [
    "test/agent/observe/metrics.test.ts",
    "deployments by kind and result, how long their phases took",
  ],
  "metrics: drained and cut requests": [
    "test/agent/observe/metrics.test.ts",
    "drained requests and cut requests are counted",
  ],
  "metrics: in Prometheus's format": [
    "test/agent/observe/prometheus.test.ts",
    "metrics are rendered in Prometheus's text format",
  ],
  "audit: who, what, from which run, result": [
    "test/agent/http/observed.test.ts",
    "the audit log says who did what, with which result",
  ],
  "audit: survives a kill": [`${e2e}/observed.test.ts`, "the history survives a kill"],
  "history: shows it": [
    "test/agent/cli/commands/history.test.ts",
    "history shows who did what, when and with which result",
  ],
  "webhooks: JSON, signed": ["test/agent/observe/webhooks.test.ts", "a webhook is sent as JSON, signed"],
  "webhooks: Slack": ["test/agent/observe/webhook-body.test.ts", "Slack gets a message"],
  "webhooks: an app is held": [`${deploy}/recovery/repair.test.ts`, "that gives up tells whoever listens for ends"],
};

test.each(Object.entries(rows))("the test of %s is there", (_row, [file, title]) => {
  const titles = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => /\b(?:test|it|describe)(?:\.each)?\(|^\s*(?:\]\)\()?["'`]/.test(line));
  expect(
    titles.some((line) => line.includes(title)),
    `${file}: ${title}`,
  ).toBe(true);
});
