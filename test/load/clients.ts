import { get } from "node:http";

/**
 * Asks a site on loopback once for each of many clients, every one from an address of its own, and says who got which
 * version. nginx's ip_hash looks at the first three parts of an IPv4 address, so those are what differs.
 * @param host the Host header
 */
export async function askAsClients(site: string, host: string, count: number): Promise<Map<number, string>> {
  const answers = new Map<number, string>();
  let next = 0;
  const ask = async () => {
    for (let client = next++; client < count; client = next++) {
      answers.set(client, await versionFrom(site, host, `127.${1 + (client >> 8)}.${client & 255}.1`));
    }
  };
  await Promise.all(Array.from({ length: Math.min(24, count) }, ask));
  return answers;
}

function versionFrom(site: string, host: string, localAddress: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = get(`${site}/version`, { localAddress, agent: false, headers: { host } }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => {
        if (response.statusCode === 200) resolve(text.split(" ", 1)[0] ?? "");
        else reject(new Error(`status ${response.statusCode} for ${localAddress}`));
      });
      response.on("error", reject);
    });
    call.on("error", reject);
  });
}

/** What part of the answers is this version, in percent. */
export function shareOf(answers: Map<number, string>, version: string): number {
  return (100 * [...answers.values()].filter((seen) => seen === version).length) / answers.size;
}
