import { execFileSync } from "node:child_process";
import { Workspace } from "./workspace.ts";

/** A wheel is a zip with a package and three text files about it. */
const wheelMaker = `
import sys, zipfile
folder, tag = sys.argv[1:]
info = "greeting-1.0.dist-info"
with zipfile.ZipFile(f"{folder}/greeting-1.0-{tag}.whl", "w") as z:
    z.writestr("greeting.py", "TEXT = 'hello'\\n")
    z.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: greeting\\nVersion: 1.0\\n")
    z.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: {tag}\\n")
    z.writestr(f"{info}/RECORD", "".join(f"{name},,\\n" for name in ["greeting.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]))
`;

/** A project in `p` that requires `greeting`, and a folder `house` with its wheel. */
export function wheelhouse(tag = "py3-none-any"): Workspace {
  const space = new Workspace({ "p/requirements.txt": "greeting\n", "house/x": "" });
  execFileSync("/usr/bin/python3", ["-c", wheelMaker, space.at("house"), tag]);
  return space;
}

/** The version of the interpreter that the tests use, such as 3.11. */
export function pythonVersion(): string {
  const script = "import sys; print('%d.%d' % sys.version_info[:2])";
  return execFileSync("/usr/bin/python3", ["-c", script], { encoding: "utf8" }).trim();
}
