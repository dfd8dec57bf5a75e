import type { Hint } from "./hint.ts";

/** Of Python, the shell and the system below them. */
export const systemHints: Hint[] = [
  {
    id: "merge-conflict",
    pattern: /(?:^\s*|')(?:<{7}|>{7}) \S/,
    anywhere: "first",
    cause: "A merge conflict is left in a file: {line}",
    fix: "Resolve it, commit and push: `git grep -nE '^(<<<<<<<|>>>>>>>) '` lists what is left.",
    example: "<<<<<<< HEAD",
  },
  {
    id: "null-bytes",
    pattern: /source code (?:string )?cannot contain null bytes/,
    fix: "A Python file has null bytes, most often because it was saved as UTF-16: `grep -rlP '\\x00' --include='*.py' .` names it. Save it as UTF-8.",
    example: "ValueError: source code string cannot contain null bytes",
  },
  {
    id: "encoding",
    pattern: /^SyntaxError: .*(?:codec can't decode byte|Non-UTF-8 code)/,
    fix: "Save that file as UTF-8, and remove a line such as `# -*- coding: ascii -*-` from its top.",
    example: "SyntaxError: 'ascii' codec can't decode byte 0xe9 in position 32: ordinal not in range(128)",
  },
  {
    id: "newer-syntax",
    pattern: /^SyntaxError: (?:invalid syntax|f-string: |expected '\('|multiple exception types must be parenthesized)/,
    fix: "Correct {place}. If your own Python accepts it, the Python that ran it is older: see `python.version` in cutover.yml.",
    runnerFix:
      "Correct {place}. If your own Python accepts it, the workflow's is older: see `python-version` of actions/setup-python.",
    example: "SyntaxError: invalid syntax",
  },
  {
    id: "json",
    value: true,
    pattern: /^JSONDecodeError: /,
    fix: "What {place} reads is no JSON: `python -m json.tool FILE` shows where. `char 0` means that it is empty, or is another thing, such as an error page.",
    example: "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
  },
  {
    id: "circular-import",
    pattern: /partially initialized module '([^']+)'/,
    fix: "{1} and another module import each other: move one of the imports into the function that needs it.",
    example:
      "ImportError: cannot import name 'y' from partially initialized module 'a' (most likely due to a circular import)",
  },
  {
    id: "relative-import",
    pattern: /attempted relative import (?:with no known parent package|beyond top-level package)/,
    fix: "{place} imports from its own package, and was started as a module without one: name it with its package (`app: shop.web:app`, `python -m shop.web`), or import without the dot.",
    example: "ImportError: attempted relative import with no known parent package",
  },
  {
    id: "module-attribute",
    pattern: /^AttributeError: module '([\w.]+)' has no attribute '\w+'/,
    fix: "If the project has its own file {1}.py, that hides the real {1}: rename it. Otherwise the installed version of {1}, or of Python if {1} is part of it, has no such name: pin the one that has, or upgrade what uses it at {place}.",
    example: "AttributeError: module 'secrets' has no attribute 'token_urlsafe'",
  },
  {
    id: "glibc-too-new",
    pattern: /version `(GLIBC(?:XX)?_[\d.]+)' not found/,
    cause: "A wheel or program was built for a newer system than the host ({1}): {line}",
    fix: "Build on a system that is not newer than the host: choose `runs-on` of the job accordingly, or use manylinux wheels.",
    example: "ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /srv/app/x.so)",
  },
  {
    id: "other-processor",
    pattern: /ImportError: (\/\S+\.so\S*): cannot open shared object file/,
    cause: "A compiled module is there, and the system cannot load it: {line}",
    fix: "It is built for another processor: build it on the host's architecture, or use a wheel for it.",
    example: "ImportError: /srv/app/native.so: cannot open shared object file: No such file or directory",
  },
  {
    id: "shared-library",
    pattern: /(?<![\w.+-])(lib(?=[\w.+-]*\.so)[\w.+-]+): cannot open shared object file/,
    fix: "The host lacks the system library {1}: install its package there (`apt-file search {1}` names it), or use a wheel that brings it, such as psycopg[binary].",
    example: "ImportError: libmariadb.so.3: cannot open shared object file: No such file or directory",
  },
  {
    id: "not-a-library",
    pattern: /(?<!\S)([^\s:]+): (?:invalid ELF header|file too short|wrong ELF class)/,
    fix: "{1} is no library for this machine: build it on the host's system. If it is in the repository, check that Git LFS files are fetched (`lfs: true` of actions/checkout).",
    example: "ImportError: /srv/app/native.so: file too short",
  },
  {
    id: "open-files",
    pattern: /Too many open files/,
    fix: "Raise `minfds` in /etc/supervisor/supervisord.conf on the host and restart supervisor, or close files and connections in the app.",
    example: "OSError: [Errno 24] Too many open files: '/dev/null'",
  },
  {
    id: "locale",
    pattern: /unsupported locale setting/,
    fix: "The host lacks this locale: add it with `dpkg-reconfigure locales`, or take `locale.setlocale` out of the app.",
    example: "Error: unsupported locale setting",
  },
  {
    id: "memory",
    pattern: /^MemoryError/,
    fix: "The process got no more memory: load less at its start, lower `server.workers` or `server.instances`, or add memory.",
    example: "MemoryError",
  },
  {
    id: "empty-number",
    value: true,
    pattern: /invalid literal for int\(\) with base 10: ''/,
    cause: "A variable of the environment is empty where the code wants a number: {line}",
    fix: "Set it with `cutover env set {app} NAME`, or in `env` of cutover.yml. `cutover env list {app}` shows what is set.",
    example: "ValueError: invalid literal for int() with base 10: ''",
  },
  {
    id: "none-variable",
    value: true,
    pattern:
      /^TypeError: (?:(?:int|float)\(\) argument must be|expected str, bytes or os\.PathLike object,).* not '?NoneType/,
    cause: "A value is missing, most often a variable of the environment: {line}",
    fix: "See which one {place} reads, and set it with `cutover env set {app} NAME`, or in `env` of cutover.yml. `cutover env list {app}` shows what is set.",
    example: "TypeError: int() argument must be a string, a bytes-like object or a real number, not 'NoneType'",
  },
  {
    id: "none-attribute",
    value: true,
    pattern: /^AttributeError: 'NoneType' object has no attribute '/,
    fix: "A value that {place} uses is None, because nothing has set it: a variable of the environment (`cutover env list {app}`), a setting, or what a call before that line has returned.",
    runnerFix:
      "A value that {place} uses is None, because nothing has set it: a variable of the environment (`env` of this step), a setting, or what a call before that line has returned.",
    example: "AttributeError: 'NoneType' object has no attribute 'split'",
  },
  {
    id: "may-not-listen",
    pattern:
      /^PermissionError: \[Errno 13\] Permission denied$|error while attempting to bind on address .*permission denied|Can't connect to \('[^']*', \d{1,3}\)/,
    cause: "The app may not listen at that address: {line}",
    fix: "Ports below 1024 are root's, and the app is another user: let it listen where `{socket}` or `{port}` of `server.command` says. nginx has the ports 80 and 443.",
    example: "ERROR:    [Errno 13] error while attempting to bind on address ('127.0.0.1', 80): permission denied",
  },
  {
    id: "no-such-address",
    pattern: /(?:Cannot|can't) assign requested address/i,
    cause: "The app wants to listen on an address that this machine does not have: {line}",
    fix: "Let it listen where `{socket}` or `{port}` of `server.command` says, with 127.0.0.1 as the host.",
    example: "OSError: [Errno 99] Cannot assign requested address",
  },
  {
    id: "no-such-script",
    pattern: /can't open file '([^']+)'/,
    fix: "The release has no such file: commit it, see `exclude` in cutover.yml, or correct the command. Its path counts from the project's top.",
    example: "/usr/bin/python3: can't open file '/srv/app/manage.py': [Errno 2] No such file or directory",
  },
  {
    id: "unbound-variable",
    pattern: /\b(\w+): (?:unbound variable|parameter not set)/,
    anywhere: "if nothing else",
    cause: "The environment has no variable {1}: {line}",
    fix: "Set it on the host with `cutover env set {app} {1}`, or in `env` of cutover.yml if it is no secret.",
    example: "start.sh: line 3: NOPE: unbound variable",
  },
  {
    id: "no-such-folder",
    pattern: /cd: (?:can't cd to )?([^:\s]+)(?:: No such file or directory)?$/,
    fix: "The release has no folder {1}. A command starts in the project's top, so the script needs no absolute path.",
    example: "start.sh: line 1: cd: /srv/nope: No such file or directory",
  },
  {
    id: "shell-syntax",
    pattern: /^(\S+): line \d+: syntax error/,
    fix: "Correct {1}: `bash -n {1}` checks it without running it.",
    example: "start.sh: line 3: syntax error: unexpected end of file",
  },
];
