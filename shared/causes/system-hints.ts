import type { Hint } from "./hint.ts";

/** Of Python, the shell and the system below them. */
export const systemHints: Hint[] = [
  {
    id: "circular-import",
    pattern: /partially initialized module '([^']+)'/,
    fix: "{1} and another module import each other: move one of the imports into the function that needs it.",
    example:
      "ImportError: cannot import name 'y' from partially initialized module 'a' (most likely due to a circular import)",
  },
  {
    id: "glibc-too-new",
    pattern: /version `(GLIBC(?:XX)?_[\d.]+)' not found/,
    cause: "A wheel or program was built for a newer system than the host ({1}): {line}",
    fix: "Build on a system that is not newer than the host: choose `runs-on` of the job accordingly, or use manylinux wheels.",
    example: "ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /srv/app/x.so)",
  },
  {
    id: "shared-library",
    pattern: /(lib[\w.+-]+\.so[\w.]*): cannot open shared object file/,
    fix: "The host lacks the system library {1}: install its package there (`apt-file search {1}` names it), or use a wheel that brings it, such as psycopg[binary].",
    example: "ImportError: libmariadb.so.3: cannot open shared object file: No such file or directory",
  },
  {
    id: "not-a-library",
    pattern: /(\S+\.so\S*): (?:invalid ELF header|file too short|wrong ELF class)/,
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
    pattern: /invalid literal for int\(\) with base 10: ''/,
    cause: "A variable of the environment is empty where the code wants a number: {line}",
    fix: "Set it with `cutover env set {app} NAME`, or in `env` of cutover.yml. `cutover env list {app}` shows what is set.",
    example: "ValueError: invalid literal for int() with base 10: ''",
  },
  {
    id: "no-such-script",
    pattern: /can't open file '([^']+)'/,
    fix: "The release has no such file: commit it, see `exclude` in cutover.yml, or correct the command. Its path counts from the project's top.",
    example: "/usr/bin/python3: can't open file '/srv/app/manage.py': [Errno 2] No such file or directory",
  },
  {
    id: "unbound-variable",
    pattern: /(\w+): (?:unbound variable|parameter not set)/,
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
