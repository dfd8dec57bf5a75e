import { execFile } from "node:child_process";

/** The PATH in which the host's own tools are found. An agent's PATH often lacks the sbin directories. */
export const toolPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface ToolResult {
  code: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a tool of the host to its end, with only a PATH in its environment.
 * @throws the system's error if it cannot be started, or does not end in time
 */
export function runTool(
  program: string,
  args: string[],
  { path = toolPath, timeoutMs = 60_000 }: { path?: string; timeoutMs?: number } = {},
): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const options = { env: { PATH: path, LC_ALL: "C" }, timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 };
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve({ code: 0, stdout, stderr });
      else if (typeof error.code === "number") resolve({ code: error.code, stdout, stderr });
      else reject(error);
    });
  });
}
