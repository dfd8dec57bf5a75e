import { setTimeout as sleep } from "node:timers/promises";

/** What visitors ask for: most take 60 ms, one of twenty asks for a page that a bad release fails on. */
const pages = (turn: number) => (turn % 20 === 0 ? "/env?name=CUTOVER_RELEASE" : "/slow?ms=60");
const everyMs = 40;

/** Visitors who come at a steady rate, whatever the site does, until they are disposed of. */
export function steadyVisitors(site: string): AsyncDisposable {
  let going = true;
  const visiting = (async () => {
    const open = new Set<Promise<unknown>>();
    for (let turn = 0; going; turn++) {
      const visit = fetch(`${site}${pages(turn)}`).then(
        (answer) => answer.text(),
        () => undefined,
      );
      open.add(visit);
      void visit.finally(() => open.delete(visit));
      await sleep(everyMs);
    }
    await Promise.all(open);
  })();
  return {
    async [Symbol.asyncDispose]() {
      going = false;
      await visiting;
    },
  };
}
