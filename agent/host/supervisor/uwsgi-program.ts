import { uwsgiRefused } from "../../../shared/server-file-rules.ts";

/**
 * uWSGI with what its own file may decide. An option of the file cannot be taken back on the command line: a second `socket`
 * is a second socket. So this program reads the file, leaves out what cutover decides, and becomes uWSGI, which reads the rest
 * from memory, with its own placeholders and conditions. It runs as the app's user.
 *
 * Arguments: the file, a pattern of options that cutover.yml replaces (may be empty), and then uWSGI's command line.
 */
export const uwsgiProgram = `
import os, re, sys

RULES = ${JSON.stringify(uwsgiRefused)}
file, given, argv = sys.argv[1], sys.argv[2], sys.argv[3:]
if given:
    RULES.append([given, "cutover.yml has its own number"])
app = argv[argv.index("--module") + 1]
# They are built in, or named already.
plugins = re.compile(r"(?:\\w+:)?(?:python\\d*|http)$")


def said(text):
    sys.stderr.write("cutover: %s\\n" % text)


def sections(text, yaml):
    """The options of each section, in their order."""
    found, name = {}, None
    for line in text.replace("\\\\\\n", "").splitlines():
        bare = line.strip()
        if not bare or bare[0] in "#;" or bare == "---":
            continue
        if yaml:
            key, _, value = bare.lstrip("- ").partition(":")
            if not line[0].isspace() and not value.strip():
                name = key.strip()
                continue
            value = value.strip()
            value = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\\"'" else value
        elif bare[0] == "[":
            name = bare[1:].partition("]")[0]
            continue
        else:
            key, equals, value = bare.partition("=")
            # As uWSGI has it: a key alone is switched on.
            value = value.strip() if equals else "1"
        found.setdefault(name, []).append((key.strip(), value))
    return found


def placed(text, path):
    """uWSGI's placeholders for the file itself, which it could not fill: it reads from memory."""
    path = os.path.abspath(path)
    folder, name = os.path.split(path)
    values = {"p": path, "s": name, "n": os.path.splitext(name)[0], "d": folder + "/", "c": os.path.basename(folder)}
    return re.sub("%([psndc])", lambda found: values[found.group(1)], text)


def refusal(key, value):
    """Why an option does not count, if it does not; empty if cutover says the same."""
    for pattern, reason in RULES:
        if re.fullmatch(pattern, key):
            return "" if same(key, value) else reason
    return None


def same(key, value):
    module, _, name = app.partition(":")
    if key in ("master", "die-on-term", "no-orphans", "need-app"):
        return value.lower() in ("1", "true", "yes", "on")
    if key in ("module", "wsgi"):
        return value in (app, module)
    if key in ("file", "wsgi-file"):
        return os.path.splitext(value)[0].replace("/", ".").endswith(module)
    return key == "callable" and value == name


def lines(path, section="uwsgi", depth=0):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as opened:
            text = opened.read(1_000_000)
    except OSError as error:
        said("%s cannot be read: %s" % (path, error.strerror))
        return
    for key, value in sections(placed(text, path), path.endswith((".yaml", ".yml"))).get(section, []):
        if key in ("ini", "include", "inherit", "yaml", "yml") and depth < 5:
            other, _, part = value.partition(":")
            yield from lines(other or path, part or "uwsgi", depth + 1)
        elif refusal(key, value) is not None:
            reason = refusal(key, value)
            if reason:
                said("%s = %s of %s does not count: %s" % (key, value, path, reason))
        elif key in ("plugin", "plugins"):
            kept = [each for each in value.split(",") if not plugins.match(each.strip())]
            if kept:
                yield "%s = %s" % (key, ",".join(kept))
        else:
            yield "%s = %s" % (key, value)


memory = os.memfd_create("uwsgi", 0)
os.write(memory, ("[uwsgi]\\n" + "\\n".join(lines(file)) + "\\n").encode("utf-8", "surrogateescape"))
os.lseek(memory, 0, os.SEEK_SET)
os.execvp(argv[0], argv + ["--ini", "fd://%d" % memory])
`;
