/**
 * The name of a certificate in RFC 9773, section 4.1: the key id of its issuer and its serial number, as the certificate has
 * them. undefined if it names no issuer's key.
 * @param chain PEM, the leaf first
 */
export async function certificateId(chain: string): Promise<string | undefined> {
  const { AuthorityKeyIdentifierExtension, X509Certificate, PemConverter } = await import("@peculiar/x509");
  const [der] = PemConverter.decode(chain);
  if (der === undefined) return undefined;
  const leaf = new X509Certificate(der);
  const issuer = leaf.getExtension(AuthorityKeyIdentifierExtension)?.keyId;
  if (issuer === undefined) return undefined;
  const serial = leaf.serialNumber.padStart(leaf.serialNumber.length + (leaf.serialNumber.length % 2), "0");
  // In DER a number that begins with a set bit would be negative.
  const signed = Number.parseInt(serial.slice(0, 2), 16) >= 0x80 ? `00${serial}` : serial;
  return [issuer, signed].map((hex) => Buffer.from(hex, "hex").toString("base64url")).join(".");
}
