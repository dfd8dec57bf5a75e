import { expect, test } from "vitest";
import { atLeast, parseFeatures } from "../../../../agent/host/nginx/features.ts";

test.each([
  ["nginx version: nginx/1.22.1\n", [1, 22, 1]],
  ["nginx version: nginx/1.29.0 (Ubuntu)\n", [1, 29, 0]],
  ["nginx version: openresty/1.27.1.2\n", [1, 27, 1]],
  ["Tengine version: Tengine/3.1.0\nnginx version: nginx/1.24.0\n", [1, 24, 0]],
  ["nginx version: nginx/1.25.3 (nginx-plus-r31)\n", [1, 25, 3]],
  ["", [0, 0, 0]],
])("%j", (text, version) => {
  expect(parseFeatures(text).version).toEqual(version);
});

test("modules are those that it was built with, not those that it could load", () => {
  const text =
    "nginx version: nginx/1.22.1\nconfigure arguments: --with-http_v2_module --with-http_perl_module=dynamic --with-http_gzip_static_module\n";
  expect([...parseFeatures(text).modules]).toEqual(["http_v2_module", "http_gzip_static_module"]);
});

test("versions are compared part by part", () => {
  const { version: _, ...rest } = parseFeatures("");
  const than = (a: [number, number, number], b: [number, number, number]) => atLeast({ ...rest, version: a }, ...b);
  expect([than([1, 27, 4], [1, 27, 4]), than([1, 28, 0], [1, 27, 4]), than([2, 0, 0], [1, 27, 4])]).toEqual([
    true,
    true,
    true,
  ]);
  expect([than([1, 27, 3], [1, 27, 4]), than([1, 9, 15], [1, 27, 4]), than([0, 99, 99], [1, 27, 4])]).toEqual([
    ...[false, false, false],
  ]);
});
