import type { Hint } from "./hint.ts";

const executable = "Run `git update-index --chmod=+x {1}`, commit and push.";

/** Of shells, pip, git and npm. */
export const toolHints: Hint[] = [
  {
    id: "windows-line-ends",
    pattern: /\^M: bad interpreter|\$'\\r': command not found|has Windows line ends/,
    anywhere: true,
    fix: "Write `*.sh text eol=lf` into .gitattributes, run `git add --renormalize .`, commit and push.",
    example: "cutover: cannot start: ./start.sh has Windows line ends",
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
    id: "pip-hash",
    pattern: /THESE PACKAGES DO NOT MATCH THE HASHES/,
    anywhere: true,
    fix: "A package differs from its hash in the requirements: make the lock file again, and see which index it came from.",
    example:
      "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, please update the hashes.",
  },
  {
    id: "pip-conflict",
    pattern: /ERROR: Cannot install .+ because these package versions have conflicting dependencies/,
    anywhere: true,
    fix: "Change one of the pinned versions in the requirements, so that they fit together.",
    example: "ERROR: Cannot install a==1 and b==1 because these package versions have conflicting dependencies.",
  },
  {
    id: "pip-compiler",
    pattern: /error: command '(\S+)' failed|unable to execute '(\S+)'|Failed building wheel for (\S+)/,
    anywhere: true,
    fix: "The package has no wheel for this Python and is compiled: install a compiler and its headers in a step before this one, or pin a version that has a wheel.",
    example: "error: command 'gcc' failed: No such file or directory",
  },
  {
    id: "pip-git",
    pattern: /could not read Username for '([^']+)'|Permission denied \(publickey\)/,
    anywhere: true,
    fix: "Git cannot log in there: give the workflow a token for that repository, or depend on a released package.",
    example: "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
  },
  {
    id: "pip-no-match",
    pattern: /ERROR: No matching distribution found for (.+)/,
    fix: "Correct the name or the version of {1} in the requirements. If it lies on an index of your own, give `--index-url` in `pip-arguments`.",
    example: "ERROR: No matching distribution found for nosuchpkg-x==1",
  },
  {
    id: "pip-requirement",
    pattern: /ERROR: Invalid requirement: (.+)/,
    fix: "Correct that line of the requirements.",
    example: "ERROR: Invalid requirement: 'foo bar' (from line 1 of r3)",
  },
  {
    id: "npm-script",
    pattern: /npm (?:ERR!|error) Missing script: "?([\w:-]+)"?/,
    anywhere: true,
    fix: 'package.json has no script "{1}": correct `collect` in cutover.yml, or add the script.',
    example: 'npm ERR! Missing script: "biuld"',
  },
];
