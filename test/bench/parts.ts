import { deployTable, measureDeploys } from "./deploy.ts";
import { grayTable, measureGray } from "./gray.ts";
import { manyFilesTable, measureManyFiles } from "./many-files.ts";
import { measurePage, pageTable } from "./page.ts";
import { measurePeers, peersTable } from "./peers/peers.ts";
import { peersPicture } from "./peers/picture.ts";
import { measureQuiet, quietTable } from "./quiet.ts";
import { measureRequests, requestsTable } from "./requests.ts";
import type { Sizes } from "./sizes.ts";
import type { Table } from "./table.ts";
import { measureTraffic, trafficTable } from "./traffic.ts";
import { measureUnpack, unpackTable } from "./unpack.ts";
import { measureWorker, workerTable } from "./worker.ts";

export interface Part {
  what: string;
  measure(sizes: Sizes): Promise<{ figures: object; table: Table; picture?: string }>;
}

function part<F extends object>(
  what: string,
  measure: (sizes: Sizes) => Promise<F>,
  table: (figures: F) => Table,
  picture?: (figures: F) => string,
): Part {
  return {
    what,
    async measure(sizes) {
      const figures = await measure(sizes);
      return { figures, table: table(figures), ...(picture !== undefined && { picture: picture(figures) }) };
    },
  };
}

/** What `npm run bench` measures, by the name that it takes. */
export const parts: Record<string, Part> = {
  deploy: part("Deploys of one changed file", measureDeploys, deployTable),
  files: part("Deploys of one changed file in very many", measureManyFiles, manyFilesTable),
  load: part("Deploys under load", measureTraffic, trafficTable),
  quiet: part("Visitors beside a deploy", measureQuiet, quietTable),
  gray: part("A gray release", measureGray, grayTable),
  requests: part("Counting visitors' requests", measureRequests, requestsTable),
  page: part("The page for everybody", measurePage, pageTable),
  unpack: part("A bundle of 1 GB", measureUnpack, unpackTable),
  worker: part("Deploys under a stream of jobs", measureWorker, workerTable),
  peers: part("Other ways to deploy, under load", measurePeers, peersTable, peersPicture),
};
