import { execFile } from "node:child_process";
import { promisify } from "node:util";

interface CycloneDx {
  serialNumber?: string;
  metadata: { timestamp: string; component: { name: string } };
  components: { "bom-ref": string; properties: { name: string }[] }[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

/**
 * The software bill of materials in CycloneDX's JSON: every npm package that the Action or a Debian package may contain,
 * including Node. The same sources and the same npm give the same bytes.
 * @param name the name of the program
 * @param date seconds since the epoch
 */
export async function makeSbom(name: string, date: number): Promise<string> {
  const kind = ["--sbom-format", "cyclonedx", "--sbom-type", "application"];
  // From package-lock.json: node_modules lacks the Node of the other architecture.
  const { stdout } = await promisify(execFile)("npm", ["sbom", "--package-lock-only", ...kind]);
  const { serialNumber: _, ...sbom }: CycloneDx = JSON.parse(stdout);
  sbom.metadata.timestamp = new Date(date * 1000).toISOString();
  // npm uses the name of the directory, which differs between checkouts.
  sbom.metadata.component.name = name;
  return `${JSON.stringify(withoutDevelopment(sbom), undefined, 2)}\n`;
}

/** npm's own `--omit dev` also omits a dependency that a development tool uses too: yaml. */
function withoutDevelopment<Sbom extends CycloneDx>(sbom: Sbom): Sbom {
  const left = sbom.components.filter((one) => one.properties.some((p) => p.name === "cdx:npm:package:development"));
  const refs = new Set(left.map((one) => one["bom-ref"]));
  return {
    ...sbom,
    components: sbom.components.filter((one) => !refs.has(one["bom-ref"])),
    dependencies: sbom.dependencies
      .filter(({ ref }) => !refs.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => !refs.has(other)) })),
  };
}
