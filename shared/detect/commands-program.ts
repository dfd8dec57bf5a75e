/**
 * The part of python-program.ts that reads the command lines which a file defines: those of argparse and optparse, of click, and of
 * typer. `m` is the module that is read.
 */
export const commandsProgram = `
def texts_of(call):
    return [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]


def decorated(m, node):
    """A command of click or typer; None for any other function."""
    calls = [d for d in node.decorator_list if isinstance(d, ast.Call)]
    command = [d for d in node.decorator_list if (dotted(d.func if isinstance(d, ast.Call) else d) or "").rpartition(".")[2] in ("command", "callback")]
    if not command:
        return None
    named = texts_of(command[0]) if isinstance(command[0], ast.Call) else []
    options = [text for d in calls if (dotted(d.func) or "").rpartition(".")[2] == "option" for text in texts_of(d)]
    needs = [text for d in calls if (dotted(d.func) or "").rpartition(".")[2] == "argument" and not d.keywords for text in texts_of(d)]
    if any(name.startswith("typer.") for name in m.imports.values()) or "typer" in m.imports.values():
        a = node.args
        optional = [arg.arg for arg in a.args[len(a.args) - len(a.defaults):]] + [arg.arg for arg in a.kwonlyargs]
        options += ["--" + name.replace("_", "-") for name in optional]
    owner = dotted(command[0].func if isinstance(command[0], ast.Call) else command[0]) or ""
    alone = owner.rpartition(".")[0] in ("click", "") or owner.endswith(".callback")
    return {"name": (named or [node.name.replace("_", "-")])[0], "options": options, "needs": needs, "alone": alone, "line": node.lineno}


def commands_of(m, tree):
    """By name; the one without a name is the program itself."""
    found, parsers = [], {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            command = decorated(m, node)
            if command:
                found.append(command)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            named = texts_of(node.value)
            if node.value.func.attr == "add_parser" and named and isinstance(node.targets[0], ast.Name):
                parsers[node.targets[0].id] = {"name": named[0], "options": [], "needs": [], "alone": False, "line": node.lineno}
    main = {"name": "", "options": [], "needs": [], "alone": True, "line": 0}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, (ast.Attribute, ast.Name)):
            continue
        last = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        if last not in ("add_argument", "add_option", "define"):
            continue
        owner = dotted(node.func.value) if isinstance(node.func, ast.Attribute) else None
        command = parsers.get(owner or "", main)
        command["line"] = command["line"] or node.lineno
        given = texts_of(node)
        if last == "define":
            given = ["--" + text for text in given[:1]]
        optional = any(k.arg in ("nargs", "default") for k in node.keywords)
        command["needs"] += [text for text in given if not text.startswith("-") and not optional]
        command["options"] += [text for text in given if text.startswith("-")]
    found += list(parsers.values())
    return ([main] if main["options"] else []) + [each for each in found if each["options"]][:30]


def settings_of(m, tree):
    """The variables that classes of pydantic's settings read."""
    found = []
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or not any((dotted(base) or "").rpartition(".")[2] == "BaseSettings" for base in node.bases):
            continue
        prefix = ""
        for inner in ast.walk(node):
            if isinstance(inner, ast.keyword) and inner.arg == "env_prefix" and isinstance(inner.value, ast.Constant):
                prefix = str(inner.value.value)
            elif isinstance(inner, ast.Assign) and getattr(inner.targets[0], "id", "") == "env_prefix" and isinstance(inner.value, ast.Constant):
                prefix = str(inner.value.value)
        found += [(prefix + inner.target.id).upper() for inner in node.body if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name)]
    return found
`;
