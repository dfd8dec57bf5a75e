/** A line of a terminal, with its escape sequences, and when it came. */
export interface TimedLine {
  /** Seconds since the recording began. */
  at: number;
  text: string;
}

export interface RecordingOptions {
  /** Characters a line holds; longer ones are continued on the next. */
  columns: number;
  /** Lines that are seen at once. */
  rows: number;
  /** Longer waits between two lines are cut to so many seconds. */
  idle: number;
  /** Seconds for which the end stays, before it all begins again. */
  rest: number;
}

const lineHeight = 18;
const characterWidth = 7.3;
const padding = 16;
const barHeight = 28;

/**
 * What a terminal showed, as an SVG that plays by itself in an <img>: lines come in from below at their own times. A viewer
 * without animations, or whose reader wants none, shows the end.
 */
export function renderRecording(lines: TimedLine[], title: string, options: RecordingOptions): string {
  const { columns, rows, idle, rest } = options;
  const shown = shorten(lines, idle).flatMap(({ at, text }) =>
    wrap(parse(text), columns).map((spans) => ({ at, spans })),
  );
  const end = (shown.at(-1)?.at ?? 0) + rest;
  const width = Math.ceil(columns * characterWidth) + 2 * padding;
  const height = barHeight + rows * lineHeight + 2 * padding;
  const top = barHeight + padding;
  const offset = (count: number) => (rows - count) * lineHeight;
  const steps = shown.flatMap(({ at }, index) =>
    at === shown[index + 1]?.at ? [] : [`${percent(at / end)}{transform:translateY(${offset(index + 1)}px)}`],
  );
  const texts = shown.map(
    ({ spans }, index) => `<text y="${index * lineHeight + 13}">${spans.map(renderSpan).join("")}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="t">
<title id="t">${escaped(title)}</title>
<style>
text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre;fill:#1f2328}
.window{fill:#f6f8fa;stroke:#d1d9e0}
.bold{font-weight:600}
.dim{fill:#59636e}
.red{fill:#cf222e}
.green{fill:#1a7f37}
.cyan{fill:#0969da}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}
.window{fill:#0d1117;stroke:#3d444d}
.dim{fill:#9198a1}
.red{fill:#ff7b72}
.green{fill:#3fb950}
.cyan{fill:#79c0ff}
}
.screen{transform:translateY(${offset(shown.length)}px);animation:play ${end.toFixed(1)}s step-end infinite}
@media (prefers-reduced-motion:reduce){.screen{animation:none}}
@keyframes play{0%{transform:translateY(${offset(0)}px)}
${steps.join("\n")}}
</style>
<clipPath id="c"><rect width="${width}" height="${rows * lineHeight}"/></clipPath>
<rect class="window" x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="8"/>
<text class="dim" x="${padding}" y="21">${escaped(`$ ${title}`)}</text>
<g transform="translate(${padding} ${top})" clip-path="url(#c)"><g class="screen">
${texts.join("\n")}
</g></g>
</svg>
`;
}

function shorten(lines: TimedLine[], idle: number): TimedLine[] {
  let before = 0;
  let now = 0;
  return lines.map(({ at, text }) => {
    now += Math.min(at - before, idle);
    before = at;
    return { at: Number(now.toFixed(2)), text };
  });
}

interface Span {
  text: string;
  classes: string[];
}

const classes: Record<string, string> = { "1": "bold", "2": "dim", "31": "red", "32": "green", "36": "cyan" };
/** What each code ends: 22 both weights, 39 every colour. */
const ends: Record<string, string[]> = { "22": ["bold", "dim"], "39": ["red", "green", "cyan"] };

function parse(line: string): Span[] {
  let current: string[] = [];
  // The split gives texts and, between two of them, the code of an escape sequence.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
  return line.split(/\u001b\[(\d+)m/).flatMap((part, index) => {
    if (index % 2 === 0) return part === "" ? [] : [{ text: part, classes: current }];
    const name = classes[part];
    current =
      name === undefined ? current.filter((each) => !(ends[part] ?? current).includes(each)) : [...current, name];
    return [];
  });
}

/** Lines of at most so many characters, broken at spaces if there are any. */
function wrap(spans: Span[], columns: number): Span[][] {
  const text = spans.map((span) => span.text).join("");
  if (text.length <= columns) return [spans];
  const space = text.lastIndexOf(" ", columns);
  const cut = space > columns / 2 ? space : columns;
  const indent: Span = { text: "    ", classes: [] };
  return [
    slice(spans, 0, cut),
    ...wrap([indent, ...slice(spans, cut === space ? cut + 1 : cut, text.length)], columns),
  ];
}

function slice(spans: Span[], from: number, to: number): Span[] {
  let at = 0;
  return spans.flatMap((span) => {
    const text = span.text.slice(Math.max(0, from - at), Math.max(0, to - at));
    at += span.text.length;
    return text === "" ? [] : [{ ...span, text }];
  });
}

function renderSpan({ text, classes: names }: Span): string {
  return names.length === 0 ? escaped(text) : `<tspan class="${names.join(" ")}">${escaped(text)}</tspan>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function percent(part: number): string {
  return `${(part * 100).toFixed(2)}%`;
}
