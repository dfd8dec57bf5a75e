import type { HostFacts } from "../facts/facts.ts";
import { type Finding, warning } from "../finding.ts";

/** What an app's user listens on for the network is not behind nginx. */
export function listenOutside({ apps }: HostFacts): Finding[] {
  return apps
    .filter(({ outside }) => outside.length > 0)
    .map(({ app, user, outside }) =>
      warning("listen-outside", {
        what: `A process of ${user?.name}, the user of ${app}, listens to the network and not only to this host: ${outside.join(", ")}.`,
        why: "Whoever reaches the port passes nginx by, with its TLS, its limits and maintenance.",
        fix: `Have it listen on 127.0.0.1 or on a socket, or close the port with a firewall. \`listen_outside: refuse\` in the app's file refuses such releases.`,
      }),
    );
}
