import type { Hint } from "./hint.ts";

const executable = "Run `git update-index --chmod=+x {1}`, commit and push.";

/** Of shells, make, git and npm. */
export const toolHints: Hint[] = [
  {
    id: "env-interpreter",
    pattern: /\benv: ['‘"]?([\w.+-]+)['’"]?: No such file or directory/,
    cause: "The first line of the script names {1}, which is not there: {line}",
    fix: "Write `#!/usr/bin/env python3`, or another program that is there, into its first line, or install {1}.",
    example: "/usr/bin/env: ‘python2’: No such file or directory",
  },
  {
    id: "make-target",
    pattern: /\*\*\* No rule to make target '([^']+)'/,
    fix: "The Makefile where the command runs, the project's top, has no target {1}, or lacks a file that it needs: correct the command, or name the folder: `make -C FOLDER {1}`.",
    example: "make: *** No rule to make target 'assets'.  Stop.",
  },
  {
    id: "windows-line-ends",
    pattern: /\^M: bad interpreter|\$'\\r': command not found|has Windows line ends/,
    anywhere: "always",
    fix: "Write `*.sh text eol=lf` into .gitattributes, run `git add --renormalize .`, commit and push.",
    example: "cutover: cannot start: ./start.sh has Windows line ends",
  },
  {
    id: "project-runner",
    pattern:
      /(?:there is no program|failed to execute) (poetry|pipenv|uv|uvx|pdm|hatch|rye)\b|^(Poetry) could not find a pyproject\.toml/,
    cause: "The command starts by way of {1}, which a release does not need: {line}",
    fix: "The release's environment is on the PATH already: write the command without it, such as `gunicorn ...` for `poetry run gunicorn ...`.",
    runnerFix: "Install {1} in a step before this one, or write the command without it.",
    example: "cutover: cannot start: there is no program pipenv on its PATH",
  },
  {
    id: "own-environment",
    pattern: /(?:there is no file|failed to execute) \S*?\.?v?env\/bin\/([\w.+-]+)/,
    cause: "The command names an environment that is not packed: {line}",
    fix: "Write {1} alone: the release's own environment, made from the requirements, is on the PATH.",
    example: "cutover: cannot start: there is no file venv/bin/gunicorn",
  },
  {
    id: "cannot-execute",
    pattern: /failed to execute (\.?[\w.-]*\/\S+): No such file or directory/,
    cause: "The system cannot start {1}: {line}",
    fix: "Either the release has no such file, or its first line names a program that does not exist: with Windows line ends none does. Write `*.sh text eol=lf` into .gitattributes, run `git add --renormalize .`, commit and push.",
    example: "prlimit: failed to execute ./crlf.sh: No such file or directory",
  },
  {
    id: "no-sudo",
    pattern: /(?:failed to execute |there is no program )(sudo|systemctl|supervisorctl|su|doas)\b/,
    cause: "A command of the app may not act as root, and here it wants to: {line}",
    fix: "Take {1} out of the command in cutover.yml: it runs as the app's own user. cutover restarts the app by itself at each deploy; what needs root, the host's owner does on the host.",
    runnerFix: "Take {1} out of the command in cutover.yml.",
    example: "prlimit: failed to execute sudo: No such file or directory",
  },
  {
    id: "curl-unreachable",
    pattern: /curl: \((?:7|28|52|56)\) (.+)/,
    fix: "Nothing answers there: start that service, or correct its address. A release command runs before the new instances do, so it cannot ask them.",
    runnerFix:
      "Nothing answers there. The command runs in the workflow: start the service in the job, or correct the address.",
    example: "curl: (7) Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn't connect to server",
  },
  {
    id: "cannot-find",
    pattern: /failed to execute (\S+): No such file or directory/,
    cause: "There is no program {1} on the PATH: {line}",
    fix: "Add what has {1} to the requirements, correct the command in cutover.yml, or install {1} on the host.",
    example: "prlimit: failed to execute nosuchprogram: No such file or directory",
  },
  {
    id: "not-executable",
    pattern: /(?:^|[\s:])(\.?\/?[\w./-]+)(?: is not executable|: Permission denied$)/,
    fix: executable,
    example: "cutover: cannot start: ./start.sh is not executable",
  },
  {
    id: "wrong-architecture",
    pattern: /Exec format error|cannot execute binary file/,
    fix: "The program is for another processor, or its first line is missing: build it on the host's architecture.",
    example: "sh: 1: ./bad.bin: Exec format error",
  },
  {
    id: "no-shell",
    pattern: /no shell reads the command/,
    fix: "Write the command as `sh -c '...'`, or put variables into `env` of cutover.yml.",
    example: "cutover: cannot start: no shell reads the command, and cd is a word of a shell",
  },
  {
    id: "no-such-program",
    pattern: /there is no (?:program|file) (\S+)/,
    fix: "Add what has {1} to the requirements, correct the command in cutover.yml, or install {1} on the host.",
    runnerFix: "Install {1} in a step before this one, or correct the command in cutover.yml.",
    example: "cutover: cannot start: there is no program celery on its PATH",
  },
  {
    id: "unknown-option",
    pattern: /error: unrecognized arguments: (.+)/,
    fix: "The program does not know {1}: correct the command, or pin the version that does.",
    example: "gunicorn: error: unrecognized arguments: --nope",
  },
  {
    id: "npm-script",
    pattern: /npm (?:ERR!|error) Missing script: "?([\w:-]+)"?/,
    anywhere: "always",
    fix: 'package.json has no script "{1}": correct `collect` in cutover.yml, or add the script.',
    example: 'npm ERR! Missing script: "biuld"',
  },
  {
    id: "npm-no-package",
    pattern: /npm (?:ERR!|error) enoent .*package\.json/,
    anywhere: "always",
    fix: "There is no package.json where the command runs, the project's top: write the folder into `collect`, such as `npm --prefix frontend run build`.",
    example:
      "npm error enoent Could not read package.json: Error: ENOENT: no such file or directory, open '/srv/app/package.json'",
  },
  {
    id: "npm-no-lock",
    pattern: /can only install with an existing package-lock\.json/,
    anywhere: "always",
    fix: "Commit package-lock.json, or use `npm install` instead of `npm ci`.",
    example: "npm error The `npm ci` command can only install with an existing package-lock.json or",
  },
  {
    id: "node-module",
    pattern: /Cannot find module '([^']+)'/,
    fix: "Run `npm ci` in a step before this one, or add {1} to package.json.",
    example: "Error: Cannot find module 'left-pad'",
  },
  {
    id: "node-memory",
    pattern: /JavaScript heap out of memory/,
    anywhere: "always",
    fix: "Give Node more memory: NODE_OPTIONS: --max-old-space-size=4096 in `env` of this step.",
    example: "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
  },
];
