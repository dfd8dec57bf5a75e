import { seededRandom } from "../harness/random.ts";
import { checkOptions, kindAt, type LoadOptions } from "./options.ts";
import { LoadRecord } from "./record.ts";
import type { LoadReport, LoadSnapshot } from "./report.ts";
import { Requests } from "./requests.ts";

export interface Load extends AsyncDisposable {
  snapshot(): LoadSnapshot;
  /** Sends no more, waits for what is under way, and tells how it went. Again: the same report. */
  stop(): Promise<LoadReport>;
}

/**
 * Sends requests at fixed times, whether or not earlier ones were answered, and repeats none. What a request took counts
 * from when it was due, so a site that stalls cannot hide it by slowing the load down.
 */
export function startLoad(options: LoadOptions): Load {
  const checked = checkOptions(options);
  const { rate, shares, fresh, maxInFlight, longestMs, seed } = checked;
  const requests = new Requests(checked);
  const record = new LoadRecord(rate);
  const random = seededRandom(seed);
  const underWay = new Set<Promise<void>>();
  let next = 0;
  let timer: NodeJS.Timeout | undefined;

  const launch = (due: number): void => {
    const kind = kindAt(shares, random());
    const alone = random() < fresh;
    const connection = alone ? "fresh" : "kept";
    record.sent(kind, due);
    if (underWay.size >= maxInFlight) {
      record.failed({ at: due, kind, connection, reason: `not sent: ${maxInFlight} others unanswered` });
      return;
    }
    const request = requests.send(kind, alone).then(
      (answer) => {
        record.succeeded(kind, due);
        if (kind === "get" && answer !== undefined) record.answered(answer.version, answer.release, answer.pid);
      },
      (error: Error) => record.failed({ at: due, kind, connection, reason: error.message }),
    );
    const settled = request.finally(() => underWay.delete(settled));
    underWay.add(settled);
  };

  const tick = (): void => {
    const now = record.elapsed();
    for (; dueTime(next) <= Math.min(now, longestMs); next++) launch(dueTime(next));
    if (now < longestMs) timer = setTimeout(tick, Math.max(0, dueTime(next) - record.elapsed()));
  };
  const dueTime = (index: number): number => (index * 1000) / rate;

  const finish = async (): Promise<LoadReport> => {
    clearTimeout(timer);
    await Promise.all(underWay);
    requests.close();
    return record.report();
  };
  let report: Promise<LoadReport> | undefined;
  const stop = (): Promise<LoadReport> => {
    report ??= finish();
    return report;
  };

  tick();
  return {
    snapshot: () => record.snapshot(),
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}
