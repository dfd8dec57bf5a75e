import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

export interface Certificate {
  certificateFile: string;
  keyFile: string;
  certificate: string;
  key: string;
}

/** A certificate of its own for localhost and an address, in `<directory>/<name>.pem` and `<name>.key`. */
export async function makeCertificate(
  directory: string,
  name: string,
  days = 2,
  address = "127.0.0.1",
): Promise<Certificate> {
  const certificateFile = join(directory, `${name}.pem`);
  const keyFile = join(directory, `${name}.key`);
  const making = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const names = [
    "-days",
    String(days),
    "-subj",
    `/CN=${name}`,
    "-addext",
    `subjectAltName=DNS:localhost,IP:${address}`,
  ];
  await promisify(execFile)("openssl", [...making, ...names, "-out", certificateFile, "-keyout", keyFile]);
  const [certificate, key] = await Promise.all([readFile(certificateFile, "utf8"), readFile(keyFile, "utf8")]);
  return { certificateFile, keyFile, certificate, key };
}
