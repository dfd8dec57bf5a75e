/** In bytes: how much may be added before it is collected. */
const slack = 3 * 1024 * 1024;

/**
 * Collects garbage when a tenth of a second has brought much of it. By itself the collector waits until the heap is half as large
 * again, and then keeps the room: on a small host that is the apps'. It needs some 20 ms. Without `--expose-gc` nothing happens.
 */
export function keepHeapSmall(everyMs = 100): Disposable {
  const collect = globalThis.gc;
  let kept = process.memoryUsage().heapUsed;
  const timer = setInterval(() => {
    if (collect === undefined || process.memoryUsage().heapUsed < kept + slack) return;
    void collect();
    kept = process.memoryUsage().heapUsed;
  }, everyMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
