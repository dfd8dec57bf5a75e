import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export interface OpenSample {
  family: string;
  type: string;
  name: string;
  labels: Record<string, string>;
  value: number;
  exemplar: { labels: Record<string, string>; value: number; time: number } | null;
}

/** The parser of the format's authors, which throws where a rule is broken. */
const reader = `import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
samples = []
for family in text_string_to_metric_families(open(sys.argv[1]).read()):
    for name, labels, value, _, seen in family.samples:
        exemplar = seen and {"labels": seen.labels, "value": seen.value, "time": float(seen.timestamp)}
        kind = {"family": family.name, "type": family.type, "name": name}
        samples.append({**kind, "labels": labels, "value": value, "exemplar": exemplar})
print(json.dumps(samples))
`;

/** @throws Error with what the parser says */
export async function readOpenMetrics(text: string): Promise<OpenSample[]> {
  const directory = await mkdtemp(join(tmpdir(), "openmetrics-"));
  try {
    const file = join(directory, "metrics");
    await writeFile(file, text);
    const { stdout } = await promisify(execFile)("/usr/bin/python3", ["-c", reader, file], {
      maxBuffer: 16 * 1024 ** 2,
    });
    return JSON.parse(stdout);
  } finally {
    await rm(directory, { recursive: true });
  }
}
