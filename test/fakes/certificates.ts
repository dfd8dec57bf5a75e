import type { Privileged } from "../../agent/contracts/privileged.ts";

/** Of a host whose apps have no `tls: auto`. */
export const noCertificates: Pick<Privileged, "certificateRequest" | "installCertificate" | "certificate"> = {
  certificateRequest: async () => "",
  installCertificate: async () => {},
  certificate: async () => undefined,
};
