/**
 * The part of python-program.ts that finds where a file reads the metadata of an installed package and does not catch that
 * there is none. `m` is the module that is read.
 */
export const metadataProgram = `
METADATA = ("importlib.metadata.", "importlib_metadata.", "pkg_resources.get_distribution", "pkg_resources.require")
CAUGHT = ("PackageNotFoundError", "DistributionNotFound", "ImportError", "ModuleNotFoundError", "Exception", "BaseException")


def catches(handler):
    names = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return handler.type is None or any((dotted(name) or "").rpartition(".")[2] in CAUGHT for name in names)


def unguarded(tree):
    """Its nodes, without what a try guards, in no certain order. Without recursion: a sum of a thousand parts is a thousand deep."""
    left = [tree]
    while left:
        node = left.pop()
        yield node
        guarded = isinstance(node, ast.Try) and any(catches(handler) for handler in node.handlers)
        for name, value in ast.iter_fields(node):
            if not (guarded and name == "body"):
                left += [child for child in (value if isinstance(value, list) else [value]) if isinstance(child, ast.AST)]


def metadata_of(m, tree):
    found = []
    for node in unguarded(tree):
        if not isinstance(node, ast.Call):
            continue
        groups = [k.value for k in node.keywords if k.arg in ("group", "namespace")]
        if (m.resolve(dotted(node.func)) or "").endswith("pkg_resources.iter_entry_points"):
            groups += node.args[:1]
        found += [{"name": "group:" + g.value, "line": node.lineno} for g in groups if isinstance(g, ast.Constant) and isinstance(g.value, str)]
        if not node.args:
            continue
        if not (m.resolve(dotted(node.func)) or "").startswith(METADATA):
            continue
        arg = node.args[0]
        own = {"__name__": m.name, "__package__": m.package}.get(getattr(arg, "id", ""))
        name = arg.value if isinstance(arg, ast.Constant) and isinstance(arg.value, str) else own
        if name:
            found.append({"name": name, "line": node.lineno})
    return sorted(found, key=lambda each: each["line"])[:20]
`;
