/** Prometheus's own format, 0.0.4, and OpenMetrics 1.0.0, which has exemplars as well. */
export type MetricsFormat = "text" | "openmetrics";

/** A family of samples as Prometheus defines it. The functions of this file are pure. */
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
  exemplar?: Exemplar;
}

/** One of those that a bucket counts. OpenMetrics permits 128 characters in names and values of its labels. */
export interface Exemplar {
  labels: Record<string, string>;
  value: number;
  /** In seconds since the epoch. */
  time: number;
}

/** A gauge, which may go up and down. */
export function gauge(name: string, help: string, samples: Sample[]): Family {
  return { name, help, type: "gauge", samples };
}

/**
 * A family without samples is left out. A bound has the same text in both formats, although OpenMetrics would write 1.0 for 1: a
 * scraper that begins to ask for the other one would have each series twice.
 */
export function renderMetrics(families: Family[], format: MetricsFormat = "text"): string {
  const open = format === "openmetrics";
  const all = families
    .filter(({ samples }) => samples.length > 0)
    .map(({ name, help, type, samples }) => {
      // In OpenMetrics the family of a counter has no suffix, and its samples have.
      const family = open && type === "counter" ? name.replace(/_total$/, "") : name;
      const text = open ? escapeLabel(help) : escapeHelp(help);
      const head = [`# HELP ${family} ${text}`, `# TYPE ${family} ${type}`];
      const lines = samples.map(
        ({ suffix = "", labels, value, exemplar }) =>
          `${name}${suffix}${labelText(labels)} ${number(value)}${open ? exemplarText(exemplar) : ""}`,
      );
      return `${[...head, ...lines].join("\n")}\n`;
    });
  return `${all.join("")}${open ? "# EOF\n" : ""}`;
}

function exemplarText(exemplar: Exemplar | undefined): string {
  if (exemplar === undefined) return "";
  const { labels, value, time } = exemplar;
  return ` # ${labelText(labels)} ${number(value)} ${time.toFixed(3)}`;
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
