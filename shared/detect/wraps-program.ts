/**
 * The part of python-program.ts that reads which names a file hands to something that may wrap or mount them. `m` is the module
 * that is read.
 */
export const wrapsProgram = `
MOUNTS = ("mount", "add_subapp", "Mount", "Host")


def handed(node):
    """The names among an expression's arguments, also in lists and maps, and the functions that make one."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        yield dotted(node)
    elif isinstance(node, ast.Call):
        yield dotted(node.func)
    elif isinstance(node, (ast.List, ast.Tuple)):
        for item in node.elts:
            yield from handed(item)
    elif isinstance(node, ast.Dict):
        for item in node.values:
            yield from handed(item)


def names_given(m, call):
    given = list(call.args) + [keyword.value for keyword in call.keywords]
    names = [name for value in given for name in handed(value) if name is not None]
    return [m.resolve(name) for name in names if name.split(".")[0] not in ("self", "cls")][:20]


def wraps_of(m, value, target=None):
    """What the calls of an expression get; the name that is given a new value is none of it."""
    own = None if target is None else m.resolve(target)
    for call in ast.walk(value):
        if isinstance(call, ast.Call) and len(m.out["wraps"]) < 200:
            by = m.resolve(dotted(call.func))
            names = [name for name in names_given(m, call) if name != own]
            if by is not None and names:
                m.out["wraps"].append({"by": by, "names": names})
`;
