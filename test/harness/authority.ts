import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** A certificate authority of the test's own, which signs requests without asking anybody. */
export function openAuthority(dir: string) {
  const [root, rootKey] = [join(dir, "root.pem"), join(dir, "root.key")];
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: ["ignore", "pipe", "ignore"] });
  openssl(
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"],
    ...["-subj", "/CN=Test Root", "-keyout", rootKey, "-out", root],
  );
  let count = 0;
  return {
    root,
    /** @returns the chain (PEM) for a request (PEM), as valid as its days say: a negative number is over already */
    sign(request: string, days = 20): string {
      const [csr, leaf] = [join(dir, `${++count}.csr`), join(dir, `${count}.pem`)];
      writeFileSync(csr, request);
      openssl(
        ...[
          "x509",
          "-req",
          "-in",
          csr,
          "-CA",
          root,
          "-CAkey",
          rootKey,
          "-CAcreateserial",
          "-copy_extensions",
          "copyall",
        ],
        ...["-days", String(days), "-out", leaf],
      );
      return execFileSync("cat", [leaf, root], { encoding: "utf8" });
    },
  };
}
