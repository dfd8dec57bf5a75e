import type { Hint } from "./hint.ts";

const executable = "Run `git update-index --chmod=+x {1}`, commit and push.";

/** Of shells, pip, git and npm. */
export const toolHints: Hint[] = [
  {
    id: "windows-line-ends",
    pattern: /\^M: bad interpreter|\$'\\r': command not found|has Windows line ends/,
    anywhere: "always",
    fix: "Write `*.sh text eol=lf` into .gitattributes, run `git add --renormalize .`, commit and push.",
    example: "cutover: cannot start: ./start.sh has Windows line ends",
  },
  {
    id: "cannot-execute",
    pattern: /failed to execute (\.?[\w.-]*\/\S+): No such file or directory/,
    cause: "The system cannot start {1}: {line}",
    fix: "Either the release has no such file, or its first line names a program that does not exist: with Windows line ends none does. Write `*.sh text eol=lf` into .gitattributes, run `git add --renormalize .`, commit and push.",
    example: "prlimit: failed to execute ./crlf.sh: No such file or directory",
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
    id: "pip-hash",
    pattern: /THESE PACKAGES DO NOT MATCH THE HASHES/,
    anywhere: "always",
    fix: "pip names the package in the log: it differs from its hash in the requirements. Make the lock file again, and see which index it came from.",
    example:
      "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, please update the hashes.",
  },
  {
    id: "pip-conflict",
    pattern: /ERROR: Cannot install .+ because these package versions have conflicting dependencies/,
    anywhere: "always",
    fix: "Change one of the pinned versions in the requirements, so that they fit together.",
    example: "ERROR: Cannot install a==1 and b==1 because these package versions have conflicting dependencies.",
  },
  {
    id: "pip-header",
    pattern: /fatal error: (\S+\.h\w*): No such file or directory/,
    anywhere: "first",
    fix: "The package is compiled and needs {1}: install the -dev package that has it in a step before this one, or pin a version that has a wheel.",
    example: "c.c:1:10: fatal error: nope.h: No such file or directory",
  },
  {
    id: "pip-config-program",
    pattern: /(pg_config|mysql_config|pkg-config)\b.*(?:not found|is required)/,
    anywhere: "first",
    fix: "The package is compiled and needs {1}: depend on a wheel (psycopg[binary] or psycopg2-binary for PostgreSQL), or install its -dev package in a step before this one.",
    example: "RuntimeError: pg_config executable not found",
  },
  {
    id: "pip-python",
    pattern: /requires a different Python: (\S+) not in/,
    fix: "The package is not for Python {1}: pin a version that is, or change `python.version` in cutover.yml, which hosts and setup-python must have.",
    example: "ERROR: Package 'delta' requires a different Python: 3.11.2 not in '>=3.99'",
  },
  {
    id: "pip-platform",
    pattern: /ERROR: (\S+) is not a supported wheel on this platform/,
    fix: "{1} is for another system or Python: name the package instead of the file, or a wheel that fits.",
    example: "ERROR: epsilon-1-cp27-cp27m-win32.whl is not a supported wheel on this platform.",
  },
  {
    id: "pip-no-file",
    pattern: /Could not open requirements file: .*'([^']+)'/,
    fix: "The project has no {1}: correct `python.requirements` in cutover.yml, or the `-r` line that names it.",
    example: "ERROR: Could not open requirements file: [Errno 2] No such file or directory: 'nope.txt'",
  },
  {
    id: "pip-git-unreachable",
    pattern: /fatal: unable to access '([^']+)'|ssh: connect to host (\S+) port/,
    anywhere: "always",
    fix: "This machine does not reach {1}: check the address, a proxy and a firewall.",
    example:
      "fatal: unable to access 'https://127.0.0.1:9/acme/x.git/': Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn't connect to server",
  },
  {
    id: "pip-compiler",
    pattern: /error: command '(\S+)' failed|unable to execute '(\S+)'|Failed building wheel for (\S+)/,
    anywhere: "always",
    fix: "The package has no wheel for this Python and is compiled: install a compiler and its headers in a step before this one, or pin a version that has a wheel.",
    example: "error: command 'gcc' failed: No such file or directory",
  },
  {
    id: "pip-git",
    pattern: /could not read Username for '([^']+)'|Permission denied \(publickey\)/,
    anywhere: "always",
    fix: "Git cannot log in there: give the workflow a token for that repository, or depend on a released package.",
    example: "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
  },
  {
    id: "pip-no-match",
    pattern: /ERROR: No matching distribution found for (.+)/,
    fix: "Correct the name or the version of {1} in the requirements. It may have no wheel for this Python or system. If it lies on an index of your own, give `--index-url` in `pip-arguments`.",
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
