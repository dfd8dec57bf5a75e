import { expect, test } from "vitest";
import { pageFiles, refreshTarget } from "../../../../agent/deploy/watch/page-files.ts";

/** What is read in the beginning of a page that an app has written. */

const base = new URL("http://shop.example.com/home/");
const files = (page: string) => pageFiles(page, base).map(({ href }) => href);

test("style sheets and scripts, however their tags are written", () => {
  const page = `<!doctype html><LINK href=/a.css rel="preload stylesheet"><link rel='icon' href='/icon.png'>
    <link href="b.css?x=1&amp;y=2" media=all rel=stylesheet><script async src='//cdn.example.net/c.js'></script>
    <script>let src = "/none.js";</script><!-- <script src="/gone.js"></script> --><script src=/d.js></script>`;
  expect(files(page)).toEqual([
    "http://shop.example.com/a.css",
    "http://shop.example.com/home/b.css?x=1&y=2",
    "http://cdn.example.net/c.js",
    "http://shop.example.com/d.js",
  ]);
  expect(files('<script src="data:text/javascript,1"></script><link rel=stylesheet href="http://[">')).toEqual([]);
  expect(files("<!-- without an end <script src=/a.js></script>")).toEqual([]);
});

test.each([
  ['<meta http-equiv="refresh" content="0; url=http://localhost:3000/">', "http://localhost:3000/"],
  ["<META content='5;URL=\"/next\"' http-equiv=Refresh>", "http://shop.example.com/next"],
  ['<meta http-equiv="refresh" content="30">', undefined],
  ['<meta name="refresh" content="0; url=/x">', undefined],
])("%s leads to %s", (page, target) => {
  expect(refreshTarget(page, base)?.href).toBe(target);
});

/** As much as is read of a page. The patterns of before needed seconds for the first of them, which no other app had then. */
test.each(["<link rel=stylesheet ", "<script src=", "<!--", "<link a='", 'x="', "<meta http-equiv=refresh "])(
  "a page of %j alone says nothing, soon",
  (part) => {
    const page = part.repeat(Math.ceil((16 * 1024) / part.length));
    expect([files(page), refreshTarget(page, base)]).toEqual([[], undefined]);
  },
);
