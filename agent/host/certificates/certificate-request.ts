import { createPrivateKey } from "node:crypto";

const algorithm = { name: "ECDSA", namedCurve: "P-256" };

/** A new key (PKCS #8, PEM) on the curve that every browser knows, and a request for these names (PKCS #10, PEM). */
export async function certificateRequest(names: string[]): Promise<{ key: string; request: string }> {
  // Loaded when it is needed: a helper lives for one connection, and most of them make no key.
  const { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } = await import("@peculiar/x509");
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: { ...algorithm, hash: "SHA-256" },
    extensions: [new SubjectAlternativeNameExtension(names.map((value) => ({ type: "dns", value })))],
  });
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return { key: String(key.export({ format: "pem", type: "pkcs8" })), request: `${request.toString("pem")}\n` };
}
