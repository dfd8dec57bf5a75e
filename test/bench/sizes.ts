import { quickShop, type ShopOptions } from "../fixtures/shop.ts";

/** How much each part of the benchmark does; all times in milliseconds. */
export interface Sizes {
  /** How long a measurement waits at most until the machine is idle. */
  idleMs: number;
  /** Keys of the shop's cutover.yml, in place of the fixture's. */
  shop: NonNullable<ShopOptions["config"]>;
  deploy: { rounds: number; project: ProjectScale };
  manyFiles: { rounds: number; counts: number[] };
  load: { deploys: number; rate: number; quietMs: number; pauseMs: number };
  gray: { weights: number[]; requests: number; rate: number; quietMs: number };
  requests: { rate: number; seconds: number };
  page: { rate: number; quietMs: number; watchers: number; readers: number };
  unpack: { rounds: number; idleMs: number; afterMs: number; content: BigBundleScale };
  quiet: { deploys: number; rate: number; quietMs: number; pauseMs: number };
  worker: { deploys: number; quietMs: number; pauseMs: number };
  peers: { deploys: number; rate: number; quietMs: number; pauseMs: number; project: ProjectScale };
}

/** What the Django project consists of: Django apps, what each of them has, and large files beside them. */
export interface ProjectScale {
  apps: number;
  modules: number;
  pages: number;
  images: number;
  scripts: number;
  largeFiles: number;
  largeBytes: number;
}

/** Pictures and wheels do not compress; code does. */
export interface BigBundleScale {
  pictures: { count: number; bytes: number };
  sources: { count: number; lines: number };
}

/** A Django project of about 3,000 files and 40 MB, as deploys are measured with. */
export const fullProject: ProjectScale = {
  apps: 10,
  modules: 46,
  pages: 46,
  images: 150,
  scripts: 48,
  largeFiles: 8,
  largeBytes: 2_400_000,
};

const tinyProject: ProjectScale = {
  ...{ apps: 1, modules: 2, pages: 2, images: 2, scripts: 2 },
  ...{ largeFiles: 1, largeBytes: 10_000 },
};

/** What the published figures are measured with. */
export const fullSizes: Sizes = {
  idleMs: 60_000,
  shop: {},
  deploy: { rounds: 7, project: fullProject },
  manyFiles: { rounds: 3, counts: [30_000, 100_000] },
  // Two-second requests that began during a deploy have ended after the pause.
  load: { deploys: 20, rate: 300, quietMs: 20_000, pauseMs: 3000 },
  gray: { weights: [5, 25, 50], requests: 10_000, rate: 100, quietMs: 10_000 },
  requests: { rate: 2000, seconds: 60 },
  page: { rate: 100, quietMs: 20_000, watchers: 100, readers: 16 },
  unpack: {
    ...{ rounds: 3, idleMs: 60_000, afterMs: 30_000 },
    // Together about 1 GB, also packed.
    content: { pictures: { count: 1000, bytes: 1_010_000 }, sources: { count: 2000, lines: 500 } },
  },
  quiet: { deploys: 15, rate: 300, quietMs: 15_000, pauseMs: 3000 },
  worker: { deploys: 10, quietMs: 20_000, pauseMs: 3000 },
  peers: { deploys: 5, rate: 100, quietMs: 10_000, pauseMs: 3000, project: fullProject },
};

/** Enough to see that every part works: its figures say nothing. */
export const tinySizes: Sizes = {
  idleMs: 0,
  shop: quickShop,
  deploy: { rounds: 1, project: tinyProject },
  manyFiles: { rounds: 1, counts: [30, 100] },
  load: { deploys: 1, rate: 20, quietMs: 500, pauseMs: 0 },
  gray: { weights: [50], requests: 300, rate: 20, quietMs: 500 },
  requests: { rate: 200, seconds: 1 },
  page: { rate: 20, quietMs: 1500, watchers: 3, readers: 2 },
  unpack: {
    ...{ rounds: 1, idleMs: 0, afterMs: 0 },
    content: { pictures: { count: 10, bytes: 100_000 }, sources: { count: 20, lines: 50 } },
  },
  quiet: { deploys: 1, rate: 20, quietMs: 500, pauseMs: 500 },
  worker: { deploys: 1, quietMs: 500, pauseMs: 0 },
  peers: { deploys: 1, rate: 20, quietMs: 500, pauseMs: 500, project: tinyProject },
};
