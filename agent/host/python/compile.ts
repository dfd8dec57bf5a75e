import type { StepRunner } from "../exec/step.ts";
import type { AppLayout } from "../store/layout.ts";
import { type Interpreter, interpreterEnvironment } from "./interpreter.ts";

export interface CompileRequest {
  app: string;
  release: string;
  /** Of Python files in the release, such as `app/shop/wsgi.py`. */
  paths: string[];
  /** The version of Python that the release asks for, such as 3.11; the host's own if it is undefined. */
  version: string | undefined;
  signal: AbortSignal;
}

/** Compiles some files of a release. @returns the bytecode of each, in their order; null for what is no Python of this version */
export type CompileBytecode = (request: CompileRequest) => Promise<(Buffer | null)[]>;

const timeoutMs = 10 * 60_000;
/** For all files of one request, in bytes: bytecode is usually as large as its source. What comes after is left to the first request. */
const largest = 8 * 1024 * 1024;

/**
 * Prints `<index> <base64>` for each file, in lines that no line limit cuts; `<index> .` ends a file. Python's own messages go
 * nowhere: they may quote the source, and no source may say what another one's bytecode is. The sha256 at a file's end lets
 * `cutover verify` check it.
 */
const program = `
import base64, hashlib, importlib.util, json, marshal, os, sys
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
work = json.load(sys.stdin)
left = work["largest"]
out = sys.stdout
for index, path in enumerate(work["paths"]):
    try:
        with open(path, "rb") as file:
            source = file.read()
        code = compile(source, os.path.basename(path), "exec", dont_inherit=True)
        head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source)
        data = head + marshal.dumps(code)
        data += hashlib.sha256(data).digest()
    except Exception:
        continue
    left -= len(data)
    if left < 0:
        break
    text = base64.b64encode(data).decode()
    for at in range(0, len(text), 6000):
        out.write(f"{index} {text[at:at + 6000]}\\n")
    out.write(f"{index} .\\n")
`;

export interface CompilerParts {
  layout: AppLayout;
  interpreter: Interpreter;
  runStep: StepRunner;
}

/**
 * Compiles by the host's interpreter, isolated: the environment's interpreter would run the .pth files of the repository's
 * wheels. No code of the repository runs.
 */
export async function compile(
  { layout, interpreter, runStep }: CompilerParts,
  { app, release, paths, signal }: Omit<CompileRequest, "version">,
): Promise<(Buffer | null)[]> {
  const parts = paths.map((): string[] => []);
  const made = paths.map((): Buffer | null => null);
  let left = 2 * largest;
  await runStep(app, {
    argv: [interpreter.path, "-I", "-W", "ignore", "-c", program],
    cwd: layout.release(release),
    env: interpreterEnvironment,
    input: JSON.stringify({ paths, largest }),
    timeoutMs,
    signal,
    onLine: (line) => {
      const [, number = "", text = ""] = /^(\d+) (\S+)$/.exec(line) ?? [];
      const index = Number(number);
      const own = parts[index];
      left -= line.length;
      if (number === "" || own === undefined || left < 0) return;
      if (text === ".") made[index] = Buffer.from(own.splice(0).join(""), "base64");
      else own.push(text);
    },
  });
  return made;
}
