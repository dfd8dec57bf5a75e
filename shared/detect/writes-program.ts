import { readerProgram } from "./settings-program.ts";

/**
 * What `python3 -I` runs to find the files that a project's Python files write: SQLite files, log files, folders of uploads,
 * Flask's instance folder. It gets the directory and an empty word, and on standard input the paths to read; it prints a JSON
 * list of what it found, with the path as far as the text shows it.
 */
export const writesProgram = `${readerProgram}
import time

DATABASES = {"connect", "SqliteDatabase", "SqliteExtDatabase", "CSqliteExtDatabase", "TinyDB"}
LOGS = {"FileHandler", "RotatingFileHandler", "TimedRotatingFileHandler", "WatchedFileHandler", "ConcurrentRotatingFileHandler"}
FOLDER = ("UPLOAD_FOLDER", "UPLOAD_DIR", "UPLOAD_DIRECTORY", "UPLOADS_DIR", "UPLOAD_PATH", "UPLOADS_FOLDER", "MEDIA_ROOT", "MEDIA_DIR",
          "UPLOADED_FILES_DEST", "UPLOADED_PHOTOS_DEST", "UPLOADS_DEFAULT_DEST", "UPLOADED_IMAGES_DEST", "FILE_UPLOAD_DIR")
found, others = [], {}


class Writes(Reader):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def read(self):
        # A link to a pipe or a device would be read without end.
        if not os.path.isfile(self.path) or os.path.getsize(self.path) > 400_000:
            return
        with open(self.path, "rb") as opened:
            text = opened.read()
        if not any(word in text for word in (b"sqlite", b"Sqlite", b"FileHandler", b"filename", b"instance", b"upload", b"UPLOAD", b"MEDIA", b"logger.add", b"TinyDB")):
            return
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self.imported(node)
        self.run(tree.body, self.path, "")
        nodes = list(ast.walk(tree))
        for node in nodes:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id not in self.values:
                self.values[node.targets[0].id] = self.value(node.value, self.path)
        for node in nodes:
            self.look(node)

    def imported(self, node):
        path = find(node.module)
        if path is None or path == self.path:
            return
        if path not in others:
            others[path] = Reader()
            try:
                others[path].file(node.module)
            except Exception:
                pass
        for alias in node.names:
            if alias.name in others[path].values:
                self.values[alias.asname or alias.name] = others[path].values[alias.name]

    def look(self, node):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                self.named(self.key(target), node.value, node)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    self.named(key.value, value, node)
        elif isinstance(node, ast.Call):
            self.called(node)

    def key(self, target):
        if isinstance(target, ast.Subscript):
            inner = target.slice.value if type(target.slice).__name__ == "Index" else target.slice
            return inner if isinstance(inner, str) else getattr(inner, "value", "")
        return getattr(target, "id", getattr(target, "attr", ""))

    def named(self, name, node, at):
        value = self.value(node, self.path)
        if not isinstance(value, str):
            return
        if value.startswith("sqlite") and ":///" in value:
            self.add("flask" if name.startswith("SQLALCHEMY") else "sqlite", value.split(":///", 1)[1].split("?")[0], at)
        elif name.upper() in FOLDER:
            self.add("folder", value, at)
        elif name == "DATABASE" and value.endswith((".db", ".sqlite", ".sqlite3")):
            self.add("sqlite", value, at)

    def called(self, node):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = getattr(getattr(node.func, "value", None), "id", "")
        for each in node.keywords:
            if each.arg == "instance_relative_config" and self.value(each.value, self.path) is True:
                self.add("folder", self.instance(), node)
            elif each.arg:
                self.named(each.arg, each.value, node)
        args = [self.value(arg, self.path) for arg in node.args]
        keywords = {each.arg: self.value(each.value, self.path) for each in node.keywords}
        first = args[0] if args else keywords.get("filename", keywords.get("database", UNKNOWN))
        if name in ("create_engine", "create_async_engine", "Database", "SQLAlchemyJobStore") and isinstance(first, str):
            self.named("", node.args[0] if node.args else node.keywords[0].value, node)
        elif name in DATABASES and (name != "connect" or owner in ("sqlite3", "aiosqlite", "apsw")):
            self.add("sqlite", first, node)
        elif name in LOGS or (name == "basicConfig" and "filename" in keywords) or (name == "add" and owner == "logger" and isinstance(first, str)):
            value = keywords.get("filename", first)
            # A word alone is a key of some configuration.
            if isinstance(value, str) and ("." in value or "/" in value):
                self.add("log", value, node)

    def work_out(self, node, path):
        if isinstance(node, ast.Attribute) and node.attr == "instance_path":
            return self.instance()
        if isinstance(node, ast.Attribute) and node.attr == "root_path":
            return os.path.dirname(self.path)
        return super().work_out(node, path)

    def instance(self):
        """Next to the package or the module, as Flask has it."""
        place = os.path.dirname(self.path)
        while os.path.isfile(os.path.join(place, "__init__.py")) and place != root:
            place = os.path.dirname(place)
        return os.path.join(place, "instance")

    def add(self, kind, value, node):
        if isinstance(value, str) and value and value != ":memory:":
            found.append({"kind": kind, "value": value, "file": os.path.relpath(self.path, root), "line": node.lineno})


# Of processor time, as for the applications: the files that matter come first.
budget = 0.7
for path in sys.stdin.read().split("\\n"):
    if time.process_time() > budget:
        break
    try:
        Writes(os.path.join(root, path)).read()
    except Exception:
        pass
json.dump(found, sys.stdout)
`;
