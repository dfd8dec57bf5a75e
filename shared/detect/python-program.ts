import { commandsProgram } from "./commands-program.ts";
import { metadataProgram } from "./metadata-program.ts";
import { wrapsProgram } from "./wraps-program.ts";

/**
 * What `python3 -I` runs to read a project's Python files: Python's own parser, and nothing of the project is imported. It
 * gets the directory as its argument and one path a line on its standard input, in the order of their weight, and prints one
 * JSON object: see python-scan.ts. Any Python from 3.8 on runs it. A file that this Python cannot parse is left out.
 */
export const pythonProgram = `
import ast, json, os, sys, time

LARGEST = 400_000
BUDGET = float(sys.argv[2])
started = time.process_time()
root = sys.argv[1]
# A file without one of these makes no application, and says nothing of one.
WORDS = [word.encode() for word in (
    "app wsgi asgi erver flask fastapi starlette quart litestar sanic falcon bottle pyramid dash aiohttp tornado cherrypy "
    "DJANGO_SETTINGS ROOT_URLCONF _APPLICATION STATIC start_response scope SocketIO Celery( Queue( BEAT_SCHEDULE BaseSettings add_option argparse optparse click typer metadata pkg_resources streamlit PORT").split()] + [b"import *"]


# What wraps an application gets it by one of these names.
APPLICATION = ("app", "application", "wsgi_app", "asgi_app", "other_asgi_app")


def module_of(path):
    parts = path[:-3].split("/")
    if parts[0] == "src" and len(parts) > 1:
        parts = parts[1:]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def dotted(node):
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return None if base is None else base + "." + node.attr
    return None


${commandsProgram}${wrapsProgram}${metadataProgram}${String.raw`
class Module:
    def __init__(self, path, tree):
        self.path, self.name = path, module_of(path)
        self.package = self.name if path.endswith("__init__.py") else self.name.rpartition(".")[0]
        self.imports, self.star, self.own = {}, [], set()
        self.out = {"module": self.name, "assigned": [], "functions": [], "classes": {}, "runs": [], "options": [],
                    "environ": [], "websocket": None, "strings": {}, "main": False, "routes": 0, "wraps": []}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.imports[alias.asname or alias.name.split(".")[0]] = alias.name if alias.asname else alias.name.split(".")[0]
            elif isinstance(node, ast.ImportFrom):
                self.import_from(node)
        # A function may name what is defined below it.
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                self.own.add(node.name)
        self.body(tree.body)
        self.walk(tree)
        self.out["commands"] = commands_of(self, tree)
        self.out["metadata"] = metadata_of(self, tree)
        self.out["environ"] += settings_of(self, tree)
        self.out["imports"], self.out["star"] = self.imports, self.star

    def import_from(self, node):
        base = node.module or ""
        if node.level:
            parts = self.package.split(".") if self.package else []
            parts = parts[: len(parts) - (node.level - 1)]
            base = ".".join(parts + ([node.module] if node.module else []))
        for alias in node.names:
            if alias.name == "*":
                self.star.append(base)
            else:
                self.imports[alias.asname or alias.name] = (base + "." if base else "") + alias.name

    def resolve(self, name, scope=None):
        if name is None:
            return None
        head, dot, rest = name.partition(".")
        if head in self.imports:
            return self.imports[head] + dot + rest
        if head in self.own:
            return (self.name + "." if self.name else "") + name
        return "?." + name

    def value(self, node, local=None):
        if isinstance(node, ast.Await):
            return self.value(node.value, local)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and local and node.func.id in local:
                return local[node.func.id]
            name = dotted(node.func)
            if name is None and isinstance(node.func, ast.Attribute):
                name = "?." + node.func.attr
                return {"call": name, "args": []}
            args = [self.value(arg, local) for arg in node.args[:3]]
            args += [self.value(each.value, local) for each in node.keywords if each.arg in APPLICATION]
            return {"call": self.resolve(name), "args": args, "given": len(node.args) + len(node.keywords)}
        if isinstance(node, (ast.Name, ast.Attribute)):
            name = dotted(node)
            if name is not None and local and name.split(".")[0] in local:
                head, _, rest = name.partition(".")
                found = local[head]
                return dict(found, attribute=rest) if rest and found else found
            return {"name": self.resolve(name)}
        if isinstance(node, ast.IfExp):
            return self.value(node.body, local)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return {"text": node.value[:200]}
        return None

    def body(self, nodes, main=False):
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.own.add(node.name)
                found = self.function(node)
                if (found["returns"] or found["gateway"]) and len(self.out["functions"]) < 200:
                    self.out["functions"].append(found)
            elif isinstance(node, ast.ClassDef):
                self.own.add(node.name)
                self.cls(node)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    self.assign(target, node.value, node.lineno, main)
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                self.assign(node.target, node.value, node.lineno, main)
            elif isinstance(node, ast.If):
                inside = main or "__name__" in ast.dump(node.test)
                self.out["main"] = self.out["main"] or inside
                self.body(node.body, inside)
                self.body(node.orelse, main)
            elif isinstance(node, (ast.With, ast.AsyncWith, ast.For, ast.While)):
                self.body(node.body, main)
            elif isinstance(node, ast.Try):
                self.body(node.body, main)
                for handler in node.handlers:
                    self.body(handler.body, main)
                self.body(node.orelse + node.finalbody, main)

    def assign(self, target, value, line, main):
        if not isinstance(target, ast.Name):
            return
        found = self.value(value)
        self.own.add(target.id)
        if not main:
            wraps_of(self, value, target.id)
        if not main and found is not None:
            if "text" in found:
                self.out["strings"][target.id] = found["text"]
            self.out["assigned"].append({"name": target.id, "line": line, "value": found})

    def function(self, node):
        a = node.args
        names = [arg.arg for arg in getattr(a, "posonlyargs", []) + a.args]
        required = names[: len(names) - len(a.defaults)]
        required += [arg.arg for arg, default in zip(a.kwonlyargs, a.kw_defaults) if default is None]
        local, returns = {}, []
        if node.returns is not None and dotted(node.returns):
            returns.append({"call": self.resolve(dotted(node.returns)), "args": []})
        for inner in self.inside(node.body):
            if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
                kind = self.gateway([arg.arg for arg in inner.args.args], isinstance(inner, ast.AsyncFunctionDef))
                if kind:
                    local[inner.name] = {"call": kind, "args": []}
            elif isinstance(inner, (ast.Assign, ast.AnnAssign)) and inner.value is not None:
                for target in inner.targets if isinstance(inner, ast.Assign) else [inner.target]:
                    if isinstance(target, ast.Name):
                        found = self.value(inner.value, local)
                        if found is not None and (target.id not in local or "call" in found):
                            local[target.id] = found
            elif isinstance(inner, ast.Return) and inner.value is not None:
                found = self.value(inner.value, local)
                if found is not None:
                    returns.append(found)
                    wraps_of(self, inner.value)
        return {"name": node.name, "line": node.lineno, "async": isinstance(node, ast.AsyncFunctionDef), "required": required,
                "params": names, "returns": returns[:6],
                "gateway": self.gateway(names, isinstance(node, ast.AsyncFunctionDef)),
                "decorators": [self.resolve(dotted(d.func if isinstance(d, ast.Call) else d)) for d in node.decorator_list][:6]}

    def inside(self, nodes):
        for node in nodes:
            yield node
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                continue
            for field in ("body", "orelse", "finalbody"):
                yield from self.inside(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                yield from self.inside(handler.body)

    def gateway(self, names, is_async):
        names = [name for name in names if name not in ("self", "cls")]
        if len(names) == 2 and names[1] in ("start_response", "start", "startResponse") and not is_async:
            return "wsgi"
        if is_async and len(names) == 3 and names[0] == "scope":
            return "asgi"
        return None

    def cls(self, node):
        bases = [self.resolve(dotted(base)) for base in node.bases]
        self.out["classes"][node.name] = {"bases": [base for base in bases if base], "gateway": None}
        for inner in node.body:
            if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)) and inner.name == "__call__":
                kind = self.gateway([arg.arg for arg in inner.args.args], isinstance(inner, ast.AsyncFunctionDef))
                self.out["classes"][node.name]["gateway"] = kind

    def walk(self, tree):
        out = self.out
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript) and self.resolve(dotted(node.value)) == "os.environ":
                index = node.slice.value if type(node.slice).__name__ == "Index" else node.slice
                if isinstance(index, ast.Constant):
                    out["environ"].append(str(index.value))
            if isinstance(node, (ast.Name, ast.Attribute)):
                name = node.id if isinstance(node, ast.Name) else node.attr
                if out["websocket"] is None and ("websocket" in name.lower() or name == "SocketIO"):
                    out["websocket"] = node.lineno
            if not isinstance(node, ast.Call):
                continue
            name = self.resolve(dotted(node.func))
            last = node.func.attr if isinstance(node.func, ast.Attribute) else (name or "").rpartition(".")[2]
            texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            if last in ("add_argument", "add_option", "option", "define", "Option", "argument"):
                out["options"] += texts
            elif last in ("get", "getenv", "setdefault") and name in ("os.environ.get", "os.getenv", "os.environ.setdefault"):
                out["environ"] += texts[:1]
                if last == "setdefault" and len(texts) == 2:
                    out["strings"]["environ." + texts[0]] = texts[1]
            elif texts and (name == "decouple.config" or dotted(node.func) in ("env", "env.int", "env.str")):
                out["environ"] += texts[:1]
            elif last in ("run_app", "run", "serve", "run_simple", "listen", "quickstart", "start", "WSGIServer", "make_server",
                          "bind", "serve_forever", "mount", "TCPSite", "create_server"):
                args = [self.value(arg) for arg in node.args[:3]]
                out["runs"].append({"what": name or "?." + last, "args": args, "line": node.lineno,
                                    "keywords": [k.arg for k in node.keywords if k.arg]})
            names = names_given(self, node) if last in MOUNTS else []
            if names and len(out["wraps"]) < 200:
                out["wraps"].append({"by": "mount", "names": names})
            if last in ("route", "get", "post"):
                out["routes"] += 1


found, skipped, complete, looked = {}, [], True, 0
for path in sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\n"):
    if not path:
        continue
    if time.process_time() - started > BUDGET:
        complete = False
        break
    looked += 1
    try:
        full = os.path.join(root, path)
        # A link to a pipe or a device would be read without end.
        if not os.path.isfile(full):
            skipped.append([path, "it is no file"])
            continue
        if os.path.getsize(full) > LARGEST:
            skipped.append([path, "it is larger than 400 kB"])
            continue
        with open(full, "rb") as file:
            text = file.read()
        main = path.endswith("__main__.py")
        if not main and not any(word in text for word in WORDS) and not ("/" not in path and b"__main__" in text):
            continue
        out = Module(path, ast.parse(text)).out
        # A script at the top is how a program of the project's own starts.
        main = main or ("/" not in path and out["main"])
        names = [*out["imports"].values(), *out["star"]]
        # What only calls other code has no say: neither an application nor a name that leads to one.
        if main or "streamlit" in out["imports"].values() or out["assigned"] or out["runs"] or out["commands"] or out["metadata"] or out["strings"] or out["star"] or out["classes"] or any(
                each["gateway"] or any("call" in value for value in each["returns"]) for each in out["functions"]) or any(
                name.rpartition(".")[2] in ("app", "application", "api", "server", "create_app", "make_app", "get_app") for name in names if "." in name):
            found[path] = out
    except (SyntaxError, ValueError, RecursionError, OSError, MemoryError) as error:
        skipped.append([path, type(error).__name__ + ": " + str(error)[:200]])
json.dump({"modules": found, "skipped": skipped, "complete": complete, "looked": looked, "python": sys.version}, sys.stdout)
`}`;
