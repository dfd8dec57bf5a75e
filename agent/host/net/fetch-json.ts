import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";

export interface FetchLimits {
  /** For the whole call, from the look-up of the name to the last byte, in milliseconds. */
  ms: number;
  /** Of the answer's body. */
  bytes: number;
}

/** GETs a JSON document. It follows no redirect: only the address that the host's owner wrote is asked. @throws Error with a reason for the log */
export async function fetchJson(url: string, { ms, bytes }: FetchLimits): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const get = url.startsWith("https:") ? requestHttps : requestHttp;
  const request = get(
    url,
    { headers: { accept: "application/json", "user-agent": "cutover-agent" }, signal: AbortSignal.timeout(ms) },
    (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      if (response.statusCode !== 200) reject(new Error(`it answered ${response.statusCode}`));
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > bytes) reject(new Error(`its answer is longer than ${bytes} bytes`));
        else chunks.push(chunk);
      });
      response.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
      response.on("error", reject);
    },
  );
  request.on("error", reject);
  request.end();
  try {
    return JSON.parse(await promise);
  } catch (thrown) {
    if ((thrown as Error).name === "AbortError") throw new Error(`it did not answer within ${ms / 1000} seconds`);
    throw thrown;
  } finally {
    // An answer without end would still send.
    request.destroy();
  }
}
