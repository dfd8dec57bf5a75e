/**
 * What works out paths and texts of Python files as far as they stand there. Nothing is imported. It gets the directory and
 * the folder of manage.py.
 */
export const readerProgram = `
import ast, json, os, sys

root, folder = sys.argv[1:3]
UNKNOWN = object()
started = os.path.join(root, folder)


def find(name):
    for base in (started, root, os.path.join(root, "src")):
        stem = os.path.join(base, *name.split("."))
        for path in (stem + ".py", os.path.join(stem, "__init__.py")):
            if os.path.isfile(path) and os.path.getsize(path) < 400_000:
                return path
    return None


class Reader(ast.NodeVisitor):
    def __init__(self):
        self.values, self.lines, self.depth, self.seen = {}, {}, 0, []
        self.untaken, self.touched, self.conditions = [], [], {}
        self.classes, self.classes_from, self.foreign = {}, {}, []

    def file(self, name):
        path = find(name)
        if path is None and name and name.split(".")[0] not in ("django", "configurations", "environ"):
            self.foreign.append(name)
        if path is None or self.depth > 6 or path in self.seen:
            return
        self.seen.append(path)
        self.depth += 1
        with open(path, "rb") as opened:
            tree = ast.parse(opened.read())
        package = name if path.endswith("__init__.py") else name.rpartition(".")[0]
        self.run(tree.body, path, package)
        self.depth -= 1

    def run(self, body, path, package):
        for node in body:
            if isinstance(node, ast.ImportFrom):
                self.import_from(node, package)
            elif isinstance(node, ast.ClassDef):
                self.classes[node.name] = (node, path, package)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                value = self.value(node.value, path)
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        self.set(target.id, value, path, node.lineno)
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                old, new = self.values.get(node.target.id, UNKNOWN), self.value(node.value, path)
                if isinstance(old, list) and isinstance(new, (list, tuple)):
                    self.set(node.target.id, old + list(new), path, node.lineno)
            elif isinstance(node, ast.If):
                self.either(node, self.value(node.test, path), path, package)
            elif isinstance(node, ast.Try):
                self.run(node.body, path, package)
            elif isinstance(node, ast.With):
                self.run(node.body, path, package)

    def import_from(self, node, package):
        base = node.module or ""
        if node.level:
            parts = package.split(".")[: len(package.split(".")) - (node.level - 1)]
            base = ".".join([part for part in parts if part] + ([node.module] if node.module else []))
        if any(alias.name == "*" for alias in node.names):
            self.file(base)
        else:
            self.classes_from.update({alias.asname or alias.name: (base, alias.name) for alias in node.names})

    def configure(self, name, depth=0):
        """The settings of a class, those that it inherits first."""
        base, own = self.classes_from.get(name, ("", name))
        if name not in self.classes and base:
            self.file(base)
        if own not in self.classes or depth > 8:
            if base and base.split(".")[0] not in ("django", "configurations"):
                self.foreign.append(base)
            return
        node, path, package = self.classes[own]
        for parent in reversed(node.bases):
            self.configure(parent.attr if isinstance(parent, ast.Attribute) else getattr(parent, "id", ""), depth + 1)
        self.run(node.body, path, package)
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef) and inner.name.isupper():
                self.set(inner.name, UNKNOWN, path, inner.lineno)

    def set(self, name, value, path, line):
        self.touched.append(name)
        self.conditions.pop(name, None)
        self.values[name] = value
        self.lines[name] = [os.path.relpath(path, root), line]

    def either(self, node, test, path, package):
        before, set_in = set(self.values), []
        for body, taken in ((node.body, test is UNKNOWN or test), (node.orelse, test is UNKNOWN or not test)):
            start = len(self.touched)
            # What holds for developers alone is none of the site's.
            developing = isinstance(node.test, ast.Name) and node.test.id in ("DEBUG", "TESTING") and body is node.body
            if taken:
                self.run(body, path, package)
            elif not developing:
                self.untaken.append((node, body, path, package))
            set_in.append(set(self.touched[start:]))
        if test is UNKNOWN:
            for name in (set_in[0] ^ set_in[1]) - before:
                self.conditions[name] = node.lineno

    def otherwise(self, names):
        """Names that are given a value only where a condition says so that does not hold here, such as not DEBUG."""
        for node, body, path, package in self.untaken[:50]:
            other = Reader()
            other.values, other.depth, other.seen = dict(self.values), 6, list(self.seen)
            other.run(body, path, package)
            for name in names:
                if name not in self.values and name in other.lines:
                    self.set(name, other.values[name], path, other.lines[name][1])
                    self.conditions[name] = node.lineno

    def value(self, node, path):
        try:
            return self.work_out(node, path)
        except Exception:
            return UNKNOWN

    def work_out(self, node, path):
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return path if node.id == "__file__" else self.values.get(node.id, UNKNOWN)
        if isinstance(node, (ast.List, ast.Tuple)):
            return [value for value in (self.value(item, path) for item in node.elts) if value is not UNKNOWN]
        if isinstance(node, ast.Dict):
            return {self.value(key, path): self.value(value, path) for key, value in zip(node.keys, node.values) if key is not None}
        if isinstance(node, ast.JoinedStr):
            parts = [self.work_out(part.value if isinstance(part, ast.FormattedValue) else part, path) for part in node.values]
            if UNKNOWN in parts and str(parts[0]).startswith(("http://", "https://")):
                return parts[0]
            return UNKNOWN if UNKNOWN in parts else "".join(str(part) for part in parts)
        if isinstance(node, ast.BinOp):
            left, right = self.value(node.left, path), self.value(node.right, path)
            if UNKNOWN in (left, right):
                return UNKNOWN
            if isinstance(node.op, ast.Mod):
                # A width such as %999999999s would fill the memory.
                plain_places = isinstance(left, str) and left.count("%") == left.count("%s") + left.count("%d")
                made = left % (tuple(right) if isinstance(right, list) else right) if plain_places else UNKNOWN
            else:
                made = os.path.join(left, right) if isinstance(node.op, ast.Div) else left + right
            # So would a text that is added to itself again and again.
            return UNKNOWN if isinstance(made, (str, list)) and len(made) > 20000 else made
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            value = self.value(node.operand, path)
            return UNKNOWN if value is UNKNOWN else not value
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return next((v for v in (self.value(each, path) for each in node.values) if v is not UNKNOWN and v), UNKNOWN)
        if isinstance(node, ast.Attribute):
            value = self.value(node.value, path)
            return os.path.dirname(value) if node.attr == "parent" and isinstance(value, str) else UNKNOWN
        if isinstance(node, ast.Subscript):
            value, index = self.value(node.value, path), node.slice.value if type(node.slice).__name__ == "Index" else node.slice
            if isinstance(node.value, ast.Attribute) and node.value.attr == "parents":
                value = self.value(node.value.value, path)
                for _ in range(index.value + 1):
                    value = os.path.dirname(value)
                return value
            return value[self.value(index, path)]
        return self.call(node, path) if isinstance(node, ast.Call) else UNKNOWN

    def call(self, node, path):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        args = [self.value(arg, path) for arg in node.args]
        keywords = {each.arg: self.value(each.value, path) for each in node.keywords}
        # Only the host sets it: a default counts elsewhere.
        if "CUTOVER_SHARED" in args:
            return "/cutover/shared"
        if name in ("resolve", "absolute", "as_posix") and isinstance(node.func, ast.Attribute):
            return self.value(node.func.value, path)
        asked = name == "str" and isinstance(node.func, ast.Attribute)
        if not asked and name in ("Path", "abspath", "realpath", "str", "normpath", "PurePath", "root", "as_posix", "expanduser"):
            return args[0]
        if name == "dirname":
            return os.path.dirname(args[0])
        if name in ("join", "joinpath", "path") and UNKNOWN not in args:
            base = [self.value(node.func.value, path)] if name == "joinpath" else []
            return os.path.normpath(os.path.join(*[str(each) for each in base + args]))
        if name in ("get", "getenv", "config", "env", "str", "bool", "Env", "url", "db", "parse"):
            return keywords.get("default", args[1] if len(args) > 1 else args[0] if name == "parse" else UNKNOWN)
        if name in ("list", "tuple", "set", "frozenset", "sorted"):
            return args[0]
        # A value of django-configurations, with its default.
        if name.endswith("Value"):
            return args[0] if args else keywords.get("default", UNKNOWN)
        return UNKNOWN


def plain(value):
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items() if each is not UNKNOWN}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
`;

/**
 * What `python3 -I` runs to read Django's settings without importing them: it follows `from .base import *`. It gets the
 * settings module, with a class of it after a colon, and prints one JSON object; a value that cannot be told is left out.
 */
export const settingsProgram = `${readerProgram}
module, _, configuration = sys.argv[3].partition(":")
WANTED = ("STATIC_URL", "STATIC_ROOT", "MEDIA_URL", "MEDIA_ROOT", "STATICFILES_STORAGE", "STORAGES", "STATICFILES_DIRS",
          "INSTALLED_APPS", "DATABASES", "COMPRESS_OFFLINE", "ALLOWED_HOSTS", "DEBUG", "LOGGING", "SECURE_SSL_REDIRECT",
          "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE")

reader, error = Reader(), None
try:
    reader.file(module)
    if configuration:
        reader.configure(configuration)
except SyntaxError as found:
    error = str(found)
reader.otherwise(("STATIC_ROOT", "STATIC_URL", "MEDIA_ROOT", "MEDIA_URL"))
values = {name: plain(reader.values[name]) for name in WANTED if reader.values.get(name, UNKNOWN) is not UNKNOWN}
named = [name for name in WANTED if name in reader.values]
json.dump({"values": values, "named": named, "lines": {k: reader.lines[k] for k in WANTED if k in reader.lines},
           "conditions": {k: reader.conditions[k] for k in WANTED if k in reader.conditions},
           "foreign": sorted(set(reader.foreign))[:5], "found": find(module) is not None, "error": error}, sys.stdout)
`;
