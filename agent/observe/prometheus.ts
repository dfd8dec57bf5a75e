/** A family of samples as Prometheus defines it. The functions of this file are pure: they render exposition format 0.0.4. */
export interface Family {
  name: string;
  help: string;
  type: "counter" | "gauge" | "histogram";
  samples: Sample[];
}

export interface Sample {
  /** `_bucket`, `_sum` or `_count`, for a histogram. */
  suffix?: string;
  labels: Record<string, string>;
  value: number;
}

/** A gauge, which may go up and down. */
export function gauge(name: string, help: string, samples: Sample[]): Family {
  return { name, help, type: "gauge", samples };
}

/** A family without samples is left out. */
export function renderMetrics(families: Family[]): string {
  return families
    .filter(({ samples }) => samples.length > 0)
    .map(({ name, help, type, samples }) => {
      const head = [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`];
      const lines = samples.map(
        ({ suffix = "", labels, value }) => `${name}${suffix}${labelText(labels)} ${number(value)}`,
      );
      return `${[...head, ...lines].join("\n")}\n`;
    })
    .join("");
}

function labelText(labels: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}

function number(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  return String(value);
}

/** Counts by labels. Labels must come from small closed sets: each combination stays in memory until the agent ends. */
export class Counter {
  readonly #values = new Map<string, { labels: Record<string, string>; value: number }>();

  add(labels: Record<string, string>, by = 1): void {
    const key = JSON.stringify(labels);
    const known = this.#values.get(key);
    if (known === undefined) this.#values.set(key, { labels, value: by });
    else known.value += by;
  }

  samples(): Sample[] {
    return [...this.#values.values()].map(({ labels, value }) => ({ labels, value }));
  }
}

/** Counts the observations up to each bound, and their sum. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #values = new Map<
    string,
    { labels: Record<string, string>; counts: number[]; sum: number; count: number }
  >();

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
  }

  observe(labels: Record<string, string>, value: number): void {
    const key = JSON.stringify(labels);
    const known = this.#values.get(key) ?? { labels, counts: this.#bounds.map(() => 0), sum: 0, count: 0 };
    this.#values.set(key, known);
    known.counts = known.counts.map((count, index) => (value <= (this.#bounds[index] ?? 0) ? count + 1 : count));
    known.sum += value;
    known.count += 1;
  }

  samples(): Sample[] {
    return [...this.#values.values()].flatMap(({ labels, counts, sum, count }) => [
      ...this.#bounds.map((bound, index) => ({
        suffix: "_bucket",
        labels: { ...labels, le: number(bound) },
        value: counts[index] ?? 0,
      })),
      { suffix: "_bucket", labels: { ...labels, le: "+Inf" }, value: count },
      { suffix: "_sum", labels, value: sum },
      { suffix: "_count", labels, value: count },
    ]);
  }
}
