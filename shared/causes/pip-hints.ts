import type { Hint } from "./hint.ts";

const noMatch = /^ERROR: No matching distribution found for /;

/** Of pip, and of the packages that it builds. */
export const pipHints: Hint[] = [
  {
    id: "pip-index-refused",
    pattern: /Could not fetch URL \S+: (40[13]|407) Client Error: /,
    anywhere: "first",
    with: noMatch,
    cause: "The package index does not let this job in ({1}): {line}",
    fix: "Give it a user and a password: `index-url: https://USER:SECRET@...`, with a secret of the workflow. GitHub gives no secrets to a pull request from a fork, nor an environment's to a job without it.",
    example:
      "Could not fetch URL http://ci:****@127.0.0.1:18733/auth/simple/acme-billing/: 401 Client Error: Unauthorized for url: http://127.0.0.1:18733/auth/simple/acme-billing/ - skipping\nERROR: No matching distribution found for acme-billing==2.1",
  },
  {
    id: "pip-index-down",
    pattern:
      /Retry\(total=0,.*(Connection refused|Name or service not known|Temporary failure in name resolution|timed out|Cannot connect to proxy|Network is unreachable|No route to host|Connection reset by peer|closed connection without response)/,
    anywhere: "first",
    with: noMatch,
    cause: "The package index does not answer: {1}",
    fix: "Correct `index-url` of this step, or PIP_INDEX_URL in its environment, and see that this runner reaches it: the log has its address. An index in a private network needs a runner there.",
    example:
      "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection object at 0x7f4cf959ded0>: Failed to establish a new connection: [Errno 111] Connection refused')': /simple/nosuchthing/\nERROR: No matching distribution found for nosuchthing==1.0",
  },
  {
    id: "pip-index-untrusted",
    pattern: /The repository located at (\S+) is not a trusted or secure host and is being ignored/,
    anywhere: "first",
    with: noMatch,
    cause: "pip does not ask the package index {1}, because its address begins with http://",
    fix: "Write https:// in `index-url`, or let pip trust it: `pip-arguments: --trusted-host {1}`.",
    example:
      "WARNING: The repository located at pypi.internal.invalid is not a trusted or secure host and is being ignored.\nERROR: No matching distribution found for nosuchthing==1.0",
  },
  {
    id: "pip-version-python",
    pattern: /Could not find a version that satisfies the requirement (\S+)/,
    anywhere: "first",
    with: /^ERROR: Ignored the following versions that require a different python version: /,
    cause: "pip finds no {1} for this Python, and some versions are for another one",
    fix: "The log names them, with the Python that each wants: pin a version for this one, or change `python.version` in cutover.yml, which hosts and actions/setup-python must have.",
    example:
      "ERROR: Ignored the following versions that require a different python version: 2.0 Requires-Python >=3.99; 2.1 Requires-Python >=3.99\nERROR: Could not find a version that satisfies the requirement delta==2.1 (from versions: 1.0)",
  },
  {
    id: "pip-version",
    pattern:
      /Could not find a version that satisfies the requirement (\S+)(?!\S).*\(from versions: (?!none\))(?:[^()]*, )??((?:[^,()]+, ){0,4}[^,()]+)\)$/,
    anywhere: "first",
    cause: "There is no {1}: the last versions that pip finds are {2}",
    fix: "Correct the version of {1} in the requirements. If it exists, it may have no wheel for this Python or system, or lie on another index (`index-url`).",
    example: "ERROR: Could not find a version that satisfies the requirement Django==4.2.7 (from versions: 3.2.25)",
  },
  {
    id: "pip-build-needs",
    pattern: /^\s*ModuleNotFoundError: No module named '([\w.]+)'/,
    anywhere: "first",
    with: /^\s*error: subprocess-exited-with-error/,
    cause: "A package is built, and its build needs {1}: {line}",
    fix: 'pip builds where only the named packages are. Name {1} in the package\'s pyproject.toml: [build-system] requires = ["setuptools", "{1}"]. If it is not yours, pin a version that has a wheel.',
    example: "ModuleNotFoundError: No module named 'numpy'\nerror: subprocess-exited-with-error",
  },
  {
    id: "pip-folder",
    pattern: /Invalid requirement: '(\.{1,2}\/[^']+|\/[^']+)'/,
    cause: "The project has no {1}: {line}",
    fix: "Commit that folder (for a git submodule, give actions/checkout `submodules: true`), or correct its path, which counts from the project's top.",
    example: "ERROR: Invalid requirement: './libs/billing' (from line 2 of r.txt)",
  },
  {
    id: "pip-no-project",
    pattern: /does not appear to be a Python project|Directory '[^']+' is not installable/,
    fix: "pip can install only a folder with a pyproject.toml or setup.py: add one, or take this line out of the requirements. For the project itself no such line is needed: a release has all of its files.",
    example: "ERROR: Directory './emptyd' is not installable. Neither 'setup.py' nor 'pyproject.toml' found.",
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
];
