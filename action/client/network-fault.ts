import { CutoverError, type ErrorCode } from "../../shared/errors.ts";

/** What went wrong before the agent answered, in words that need no knowledge of the codes of Node, OpenSSL and the kernel. */

/** A failure of the network, as Node throws it. */
interface NetworkFault {
  code: string;
  message: string;
  /** The authority of the address. */
  host: string;
}

interface Words {
  code?: ErrorCode;
  message(fault: NetworkFault): string;
  fix(fault: NetworkFault): string;
}

/** What a call that did nothing says. */
export const nothingChanged = "Nothing was changed on this host by this call.";

const name = ({ host }: NetworkFault) => host.replace(/:\d+$/, "");
const port = ({ host }: NetworkFault) => /:(\d+)$/.exec(host)?.[1] ?? "443";
/** As Node tells them: `altnames: DNS:a.example.com, DNS:b.example.com`, and of an address `list: 10.0.0.1, 10.0.0.2`. */
const namesIn = ({ message }: NetworkFault) => {
  const [, list = ""] = /(?:altnames: (?=DNS:|IP Address:)|list: )(\S+(?:, \S+)*)/.exec(message) ?? [];
  const names = list.split(", ").flatMap((each) => each.replace(/^(?:DNS|IP Address):/, "") || []);
  if (names.length === 0) return "other names";
  return names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");
};
const ownAuthority =
  "set NODE_EXTRA_CA_CERTS in `env` of the job to a file with the certificate of your own authority, or give the agent one of a public authority (`tls` in /etc/cutover/agent.yml)";

/** The first whose pattern matches code and message. */
const faults: [RegExp, Words][] = [
  [
    /wrong version number|WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|packet length too long|HTTP_REQUEST/i,
    {
      code: "agent_incompatible",
      message: ({ host }) => `What answers at ${host} speaks plain HTTP, and the address says https.`,
      fix: ({ host }) =>
        `Give the agent a certificate (\`tls\` in /etc/cutover/agent.yml), or write the address in hosts as http://${host}.`,
    },
  ],
  [
    /CERT_HAS_EXPIRED/,
    {
      message: ({ host }) => `The certificate of ${host} has expired.`,
      fix: () => "Renew it on the host, where `tls` in /etc/cutover/agent.yml names it.",
    },
  ],
  [
    /CERT_NOT_YET_VALID/,
    {
      message: ({ host }) => `The certificate of ${host} is not valid yet, or this runner's clock is behind.`,
      fix: () => "Look at `date` on both machines, and at the certificate's dates.",
    },
  ],
  [
    /ERR_TLS_CERT_ALTNAME_INVALID/,
    {
      message: (fault) => `The certificate at ${fault.host} is for ${namesIn(fault)}, and not for ${name(fault)}.`,
      fix: (fault) => `Write such a name into hosts, or give the agent a certificate for ${name(fault)}.`,
    },
  ],
  [
    /SELF_SIGNED|UNABLE_TO_|CERT_(?!HAS|NOT)/,
    {
      message: ({ host, code }) => `This runner does not know who signed the certificate of ${host} (${code}).`,
      fix: () => `If it is yours, ${ownAuthority}.`,
    },
  ],
  [
    /ERR_TLS|ERR_SSL|EPROTO/,
    {
      message: ({ host, message }) => `No secure connection to ${host}: ${message}.`,
      fix: () => `Give the agent a certificate for this name. If it has one, ${ownAuthority}.`,
    },
  ],
  [
    /ENOTFOUND/,
    {
      message: (fault) => `The name ${name(fault)} does not resolve (ENOTFOUND).`,
      fix: () =>
        "Correct it in hosts, or add it to DNS. A name of a private network resolves only on a runner in that network.",
    },
  ],
  [
    /EAI_AGAIN/,
    {
      message: (fault) => `This runner's DNS did not answer for ${name(fault)} (EAI_AGAIN).`,
      fix: () => "Run the job again. If it stays so, look at the name servers of the runner.",
    },
  ],
  [
    /tunneling socket could not be established/,
    {
      message: ({ host, message }) =>
        `The proxy of this runner makes no connection to ${host}: ${/statusCode=\d+/.exec(message)?.[0] ?? message}.`,
      fix: (fault) =>
        `Let the proxy of https_proxy pass connections to port ${port(fault)}, or name ${name(fault)} in no_proxy.`,
    },
  ],
  [
    /ETIMEDOUT nothing came/,
    {
      message: ({ host, message }) => `What answers at ${host} takes the connection and says nothing: ${message}.`,
      fix: () =>
        "Check the port in hosts: the agent listens on 7070, unless `listen` in /etc/cutover/agent.yml names another one. If that is the agent, `journalctl -u cutover-agent` on the host says what it does.",
    },
  ],
  [
    /ECONNREFUSED/,
    {
      message: ({ host, message }) => `No agent answers at ${host}: ${message}.`,
      fix: (fault) =>
        `On the host, \`systemctl status cutover-agent\` says whether it runs, and \`listen\` in /etc/cutover/agent.yml where: it must be an address that others reach, with port ${port(fault)}, and the firewall must let this runner through.`,
    },
  ],
];

const other: Words = {
  message: ({ host, message }) => `No agent answers at ${host}: ${message}.`,
  fix: (fault) =>
    `Check that cutover-agent runs there, that it listens on this address and port, and that the firewall lets this runner through to port ${port(fault)}.`,
};

/** @param message of the error, or of all that belong to it */
export function explainNetwork(fault: NetworkFault, cause: unknown): CutoverError {
  const text = `${fault.code} ${fault.message}`;
  const words = faults.find(([pattern]) => pattern.test(text))?.[1] ?? other;
  // OpenSSL ends its messages with the place in its own source and a new line.
  const clean = { ...fault, message: fault.message.replace(/:(?:\.\.\/)*deps\/openssl\/.*$/s, "").trim() };
  return new CutoverError(words.code ?? "agent_unreachable", words.message(clean), {
    unchanged: nothingChanged,
    fix: words.fix(clean),
    cause,
  });
}
