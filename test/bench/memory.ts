import { readFileSync, writeFileSync } from "node:fs";

/** What a process holds, in bytes: all of it, the anonymous part (heap, stacks, buffers), and the most since the last reset. */
export interface Memory {
  rss: number;
  anonymous: number;
  peak: number;
}

export function memoryOf(pid: number): Memory {
  return parseStatus(readFileSync(`/proc/${pid}/status`, "utf8"));
}

export function parseStatus(text: string): Memory {
  const field = (name: string): number => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1];
    if (kilobytes === undefined) throw new Error(`/proc/<pid>/status has no ${name}`);
    return Number(kilobytes) * 1024;
  };
  return { rss: field("VmRSS"), anonymous: field("RssAnon"), peak: field("VmHWM") };
}

/** The peak counts anew from what the process holds now (proc(5), clear_refs). */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** The most anonymous memory while some work is done: the kernel keeps no peak of it, so it is looked at all the time. */
export async function anonymousPeak<T>(pid: number, work: () => Promise<T>): Promise<{ result: T; anonymous: number }> {
  let anonymous = 0;
  const look = () => {
    anonymous = Math.max(anonymous, memoryOf(pid).anonymous);
  };
  const timer = setInterval(look, 20);
  try {
    look();
    const result = await work();
    look();
    return { result, anonymous };
  } finally {
    clearInterval(timer);
  }
}
