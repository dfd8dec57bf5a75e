import type { Hint } from "./hint.ts";
import { pipIndexHints } from "./pip-index-hints.ts";

const building = /^\s*error: subprocess-exited-with-error/;

/** Of pip, and of the packages that it builds. */
export const pipHints: Hint[] = [
  ...pipIndexHints,
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
    id: "pip-version-range",
    pattern:
      /Could not find a version that satisfies the requirement ((?!\S*===?)\S*[<>~!]\S*).*\(from versions: (?!none\))(?:.*, )??((?:[^,]+, ){0,4}[^,]+)\)$/,
    anywhere: "first",
    cause: "Of {2}, the last versions that pip sees, none counts for {1}",
    fix: "Correct the range in the requirements. A version that was withdrawn (yanked) counts only where `==` names it, and one such as 2.0rc1 only where `--pre` allows it.",
    example: "ERROR: Could not find a version that satisfies the requirement acme-pay>=1 (from versions: 1.0)",
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
    id: "pip-needed-by",
    pattern:
      /Could not find a version that satisfies the requirement (\S+) \(from ([A-Za-z][\w.-]*)\) \(from versions: none\)/,
    anywhere: "first",
    cause: "{2} needs {1}, and pip finds none",
    fix: "Pin another version of {2}, or add the index that has {1}: `pip-arguments: --extra-index-url URL`.",
    example:
      "ERROR: Could not find a version that satisfies the requirement epsilon>=2 (from delta) (from versions: none)",
  },
  {
    id: "pip-build-program",
    pattern: /^\s*FileNotFoundError: \[Errno 2\] No such file or directory: '([\w.+-]+)'/,
    anywhere: "first",
    with: building,
    cause: "A package is built, and its build needs the program {1}",
    fix: "Install {1} in a step before this one (cargo is Rust's), or pin a version of the package that has a wheel: the log names it.",
    example:
      "      FileNotFoundError: [Errno 2] No such file or directory: 'cargo'\n  error: subprocess-exited-with-error",
  },
  {
    id: "pip-library",
    pattern: /cannot find -l([\w.+-]+?)(?::|$)/,
    anywhere: "first",
    cause: "A package is compiled and needs the library {1}",
    fix: "Install the -dev package that has lib{1} in a step before this one (`apt-file search lib{1}.so` names it), or pin a version that has a wheel.",
    example: "/usr/bin/ld: cannot find -lxmlsec1: No such file or directory",
  },
  {
    id: "pip-old-setup",
    pattern: /error in (\S+) setup command: (.+)/,
    anywhere: "first",
    cause: "{1} cannot be built with today's setuptools: {2}",
    fix: "Upgrade {1}. If there is nothing newer, write an older setuptools into a file, such as `setuptools<58`, and name it: PIP_BUILD_CONSTRAINT or PIP_CONSTRAINT in `env` of this step.",
    example: "      error in gamma setup command: use_2to3 is invalid.",
  },
  {
    id: "pip-python-2",
    pattern: /Missing parentheses in call to '(print|exec)'/,
    anywhere: "first",
    with: building,
    cause: "A package is written for Python 2: {line}",
    fix: "The log names it: upgrade it, or take another package in its place.",
    example:
      "      SyntaxError: Missing parentheses in call to 'print'. Did you mean print(...)?\n  error: subprocess-exited-with-error",
  },
  {
    id: "pip-build-needs",
    pattern: /^\s*ModuleNotFoundError: No module named '([\w.]+)'/,
    anywhere: "first",
    with: building,
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
    id: "pip-hash-of",
    pattern: /^\s*(\S+) from \w+:\/.*:$/,
    anywhere: "first",
    with: /THESE PACKAGES DO NOT MATCH THE HASHES/,
    cause: "{1} is not what its hash in the requirements says",
    fix: "Make the lock file again, and see which index it came from: another index may have built {1} again. If the same index gave another file, find out why before you take it.",
    example:
      "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    gunicorn==20.1.0 from file:///srv/gunicorn.whl (from -r requirements.txt (line 1)):",
  },
  {
    id: "pip-hash-missing",
    pattern:
      /Hashes are required in --require-hashes mode|In --require-hashes mode, all requirements must have their versions pinned/,
    anywhere: "first",
    cause: "Some requirements have a hash, so all must have one and an exact version, and some have not",
    fix: "Make the whole file with hashes, such as by `pip-compile --generate-hashes` or `uv export`, or take the hashes out. The log names those without.",
    example: "ERROR: Hashes are required in --require-hashes mode, but they are missing from some requirements.",
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
    id: "pip-other-computer",
    pattern:
      /No such file or directory: '(\/?[A-Za-z]:[\\/][^']*|\/(?:Users|croot|opt\/conda|home\/(?!runner)\w+|private|tmp\/build)\/[^']*)'/,
    anywhere: "first",
    with: /^ERROR: (?:Exception:|Could not install packages due to an OSError)/,
    cause: "The requirements name a file of another computer: {1}",
    fix: "`pip freeze` wrote that line where the package was installed from a folder: write its name and version in its place (`name==1.0`).",
    example: "ERROR: Exception:\nFileNotFoundError: [Errno 2] No such file or directory: '/C:/Users/anna/shop'",
  },
  {
    id: "pip-url",
    pattern: /HTTP error (\d{3}) while getting (\S+)/,
    anywhere: "first",
    cause: "A requirement is fetched from {2}, which answers {1}",
    fix: "Correct that address in the requirements. 401, 403, and often 404 mean that it wants a login: give one in the address from a secret, or use a package index.",
    example: "ERROR: HTTP error 404 while getting http://127.0.0.1:39095/acme_pay-1.0-py3-none-any.whl",
  },
  {
    id: "pip-damaged-wheel",
    pattern: /Wheel '([^']+)' located at (\S+) is invalid/,
    anywhere: "first",
    fix: "The file is damaged, or no wheel at all (an error page that was saved, a pointer of Git LFS): get it again; with Git LFS give actions/checkout `lfs: true`.",
    example: "ERROR: Wheel 'delta' located at /srv/dist/delta-1.0-py3-none-any.whl is invalid.",
  },
  {
    id: "pip-git-host",
    pattern: /Host key verification failed/,
    anywhere: "first",
    cause: "git does not know the ssh key of the server that a requirement is on: {line}",
    fix: "In a step before this one: `ssh-keyscan HOST >> ~/.ssh/known_hosts`, after you compared the key, and `ssh-add` a deploy key. Or use https with a token: `git+https://...`.",
    example: "  Host key verification failed.",
  },
  {
    id: "pip-git-reference",
    pattern: /pathspec '([^']+)' did not match any file/,
    anywhere: "first",
    cause: "A requirement wants {1} of a git repository, and there is no such branch, tag or commit",
    fix: "Push {1}, or correct what stands after the @ in that requirement.",
    example: "  error: pathspec 'v9.9' did not match any file(s) known to git",
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
    id: "pip-windows",
    pattern:
      /ERROR: No matching distribution found for ((?:pywin32|pypiwin32|pywinpty|win32[\w-]*|wmi|pyreadline3?|windows-curses|pywin32-ctypes)\b)/i,
    cause: "{1} is for Windows alone: {line}",
    fix: 'Take it out of the requirements, or write `{1}; sys_platform == "win32"`.',
    example: "ERROR: No matching distribution found for pywin32==305",
  },
  {
    id: "pip-no-match",
    pattern: /ERROR: No matching distribution found for (.+)/,
    fix: "Correct the name or the version of {1} in the requirements. It may have no wheel for this Python or system. If it lies on an index of your own, give `index-url` of this step.",
    example: "ERROR: No matching distribution found for nosuchpkg-x==1",
  },
  {
    id: "pip-one-equals-sign",
    pattern: /Invalid requirement: '?([\w.[\]-]+)=(\d[\w.*]*)/,
    fix: "One = is conda's way; for pip write {1}=={2}.",
    example: "ERROR: Invalid requirement: 'gunicorn=20.1.0' (from line 1 of requirements.txt)",
  },
  {
    id: "pip-requirement",
    pattern: /ERROR: Invalid requirement: (.+)/,
    fix: "Correct that line of the requirements.",
    example: "ERROR: Invalid requirement: 'foo bar' (from line 1 of r3)",
  },
];
