import type { Hint } from "./hint.ts";

const older =
  "asynchat|asyncore|binhex|cgi|cgitb|chunk|crypt|distutils|formatter|imghdr|imp|lib2to3|mailcap|msilib|nntplib|parser|pipes|smtpd|sndhdr|spwd|sunau|symbol|telnetlib|uu|xdrlib";
const newer = "annotationlib|compression|concurrent\\.interpreters|graphlib|string\\.templatelib|tomllib|zoneinfo";
const versions = "`python.version` in cutover.yml, which hosts and actions/setup-python must have";

/** Modules and names that one version or build of Python has, and another one has not. */
export const stdlibHints: Hint[] = [
  {
    id: "distutils",
    pattern: /No module named '(distutils)[\w.]*'/,
    fix: "Python 3.12 has no distutils any more: upgrade the package that imports it, or add setuptools to the requirements, which brings it.",
    example: "ModuleNotFoundError: No module named 'distutils'",
  },
  {
    id: "removed-module",
    pattern: new RegExp(`No module named '(${older})(?:\\.[\\w.]+)?'`),
    cause: "This version of Python has no module {1} any more: {line}",
    fix: `Upgrade the package that imports {1}, take it out of your own code, or set an older ${versions}.`,
    example: "ModuleNotFoundError: No module named 'binhex'",
  },
  {
    id: "newer-module",
    pattern: new RegExp(`No module named '(${newer})(?:\\.[\\w.]+)?'`),
    cause: "The module {1} came with a later Python than this one: {line}",
    fix: `Set a newer ${versions}.`,
    example: "ModuleNotFoundError: No module named 'annotationlib'",
  },
  {
    id: "system-module",
    pattern: /No module named '_?(tkinter|curses|dbm\.gnu|gdbm|idlelib|turtle|sqlite3|ctypes|bz2|lzma|ssl)'/,
    cause: "{1} belongs to Python itself, and this Python was installed without it: {line}",
    fix: "Install it on the host: for tkinter `apt install python3-tk`; a Python that was built from source needs the library's -dev package first. Drawing on a server needs no tkinter: with matplotlib, set `MPLBACKEND: Agg` in `env`.",
    runnerFix: "Install it in a step before this one: for tkinter `sudo apt-get install -y python3-tk`.",
    example: "ModuleNotFoundError: No module named 'tkinter'",
  },
  {
    id: "package-hidden",
    pattern: /No module named '[\w.]+'; '([\w.]+)' is not a package/,
    cause: "A file hides a folder or a package of the same name: {line}",
    fix: "Something named {1}.py comes before the package {1} on Python's path: rename one of them, or correct the name where it is imported, such as `server.app` in cutover.yml.",
    example: "ModuleNotFoundError: No module named 'shop.wsgi'; 'shop' is not a package",
  },
  {
    id: "package-run",
    pattern: /No module named ([\w.]+)\.__main__; '[\w.]+' is a package/,
    cause: "{1} is a package and has no file __main__.py that could be run: {line}",
    fix: "Name the module in it that is meant, such as `python -m {1}.NAME`, or add {1}/__main__.py.",
    example:
      "/usr/bin/python3: No module named shop.jobs.__main__; 'shop.jobs' is a package and cannot be directly executed",
  },
  {
    // These modules grow from version to version and lose next to nothing.
    id: "newer-name",
    pattern:
      /cannot import name '(\w+)' from '(typing|types|datetime|enum|itertools|functools|dataclasses|warnings|contextlib|pathlib|statistics)' \(\S*\/lib\/python3\.\d+\/(?!(?:site|dist)-packages\/)\S+\)/,
    cause: "The name {1} in Python's module {2} came with a later Python than this one: {line}",
    fix: `Set a newer ${versions}. Names of typing are in the package typing_extensions too: add it to the requirements and import {1} from there.`,
    example: "ImportError: cannot import name 'override' from 'typing' (/usr/lib/python3.11/typing.py)",
  },
  {
    id: "removed-name",
    pattern: /cannot import name '(\w+)' from '([\w.]+)' \(\S*\/lib\/python3\.\d+\/(?!(?:site|dist)-packages\/)\S+\)/,
    cause: "This version of Python has no {1} in its module {2}: {line}",
    fix: "An older or a newer Python has it. Upgrade the package that imports {1}, or set another `python.version`. In your own code use what has replaced it: `Mapping` and the like, for example, are in collections.abc.",
    example:
      "ImportError: cannot import name 'Mapping' from 'collections' (/usr/lib/python3.11/collections/__init__.py)",
  },
];
