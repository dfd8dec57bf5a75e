import type { PeersFigures } from "./peers.ts";

const width = 760;
const row = 44;
const top = 56;
const left = 230;
const longest = width - left - 190;

/** The failed requests of each tool as bars: an SVG that works in light and dark. */
export function peersPicture({ deploys, rate, tools }: PeersFigures): string {
  const most = Math.max(1, ...tools.map(({ failed }) => failed));
  const height = top + tools.length * row + 12;
  const title = `Requests that failed in ${deploys} deploys, at ${rate} requests a second`;
  const bars = tools.map(({ tool, failed, sent }, index) => {
    const y = top + index * row;
    const length = Math.round((failed / most) * longest);
    return `  <text class="tool" x="${left - 12}" y="${y + 20}">${escaped(tool)}</text>
  <rect class="${failed === 0 ? "none" : "some"}" x="${left}" y="${y + 4}" width="${Math.max(length, 3)}" height="24" rx="3"/>
  <text x="${left + Math.max(length, 3) + 8}" y="${y + 20}">${failed.toLocaleString("en")} of ${sent.toLocaleString("en")}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(title)}">
  <style>
    text { font: 14px system-ui, sans-serif; fill: #1f2328; }
    .title { font-weight: 600; }
    .tool { text-anchor: end; }
    .some { fill: #cf222e; }
    .none { fill: #1a7f37; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .some { fill: #f85149; }
      .none { fill: #3fb950; }
    }
  </style>
  <text class="title" x="12" y="28">${escaped(title)}</text>
${bars.join("\n")}
</svg>
`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
