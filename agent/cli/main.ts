#!/usr/bin/env node
import packageJson from "../../package.json" with { type: "json" };
import { runCli } from "./program.ts";

// `cutover logs shop | head` closes the pipe early, which is not a failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const { stdin, stdout, stderr, env } = process;
process.exitCode = await runCli(
  process.argv.slice(2),
  { stdin, stdout, stderr, env, now: Date.now },
  packageJson.version,
);
