import { basename } from "node:path";
import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";
import { find } from "../nginx-config.ts";

/** An app without domains is the default server of its addresses, and an address can have only one. */
export function defaultServer({ apps, nginx }: HostFacts): Finding[] {
  const own = apps.flatMap(({ app, file, settings }) =>
    settings === undefined || settings.domains.some((domain) => domain !== "*")
      ? []
      : settings.listen.map((address) => ({ app, file, address: addressOf(String(address)) })),
  );
  const others = find(nginx.configuration, "listen").flatMap(({ directive: { args, file, line } }) =>
    args.some((word) => word === "default_server" || word === "default")
      ? [{ address: addressOf(args[0] ?? ""), file, place: `${file}:${line}` }]
      : [],
  );
  return own.flatMap(({ app, file, address }, index) => {
    const site = others.find((other) => other.address === address && basename(other.file) !== `cutover-${app}.conf`);
    const twin = own.slice(0, index).find((other) => other.address === address && other.app !== app);
    const who = site !== undefined ? site.place : twin !== undefined ? twin.file : undefined;
    if (who === undefined) return [];
    return [
      error("default-server", {
        what: `${app} has no domains, so it is the default server of ${address}. ${who} also has a default server there.`,
        why: "nginx refuses two default servers for one address, so a deploy fails when it writes the site.",
        fix: `Give ${app} its domains (\`domains: [shop.example.com]\` in ${file}), or remove the other default server (on Debian: sites-enabled/default).`,
      }),
    ];
  });
}

/** Writes addresses that are the same to nginx in the same way. */
function addressOf(text: string): string {
  const address = text.replace(/ ssl$/, "");
  return (/^\d+$/.test(address) ? `0.0.0.0:${address}` : address)
    .replace(/^(?:\*|0\.0\.0\.0):/, "")
    .replace(/^localhost:/, "127.0.0.1:");
}
