import { pino } from "pino";
import { expect, test } from "vitest";
import type { HealthAnswer } from "../../../../agent/contracts/ports.ts";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import type { Accepted, DeploymentView } from "../../../../shared/protocol.ts";
import { FakeHost } from "../../../fakes/ports.ts";

/** What the agent sees when it asks nginx as a visitor does, once the new release has the traffic. */

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const never = new AbortController().signal;
const ok = { kind: "status", status: 200, body: "", location: undefined } as const;

/** v1 is live. @param visits what a visitor of v2 gets, by `address path` */
async function visited(
  visits: Record<string, Partial<HealthAnswer>>,
  settings: object = {},
  own?: HealthAnswer,
  host = new FakeHost(),
) {
  const agent = new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
  const ended = async (accepted: Promise<Accepted>): Promise<DeploymentView> =>
    agent.settled((await accepted).deployment, 10_000, never);
  const config = { watch: "0s", ...settings };
  await ended(agent.deploy("shop", host.request(v1, config)));
  host.onEffect = (effect) => {
    if (effect !== `slots.swap ${v2}:60`) return;
    for (const [place, answer] of Object.entries(visits)) host.visits.set(place, { ...ok, ...answer } as HealthAnswer);
  };
  if (own !== undefined) host.answers.set(v2, own);
  const view = await ended(agent.deploy("shop", host.request(v2, config)));
  const notices = (host.disk.events.get(view.id) ?? []).filter((event) => event.type === "notice");
  const words = (events: typeof notices) => events.map(({ message }) => message).join("\n");
  return { host, view, told: words(notices), warned: words(notices.filter(({ level }) => level === "warning")) };
}

test("an nginx that is down says nothing of a release; one that has no answer for its visitors does", async () => {
  const nothing = { kind: "unreachable", reason: "nothing listens on port 80" } as const;
  const down = await visited({ "80 /": { ...nothing, how: "absent" } });
  expect(down.view).toMatchObject({ outcome: "succeeded" });
  expect(down.told).toContain("look at nginx on the host");
  const silent = await visited({ "80 /": { ...nothing, how: "silent" } });
  expect(silent.view).toMatchObject({ outcome: "failed", failure: { code: "watch_failed" } });
  expect(silent.host.disk.slots).toBe(`${v1}:60`);
  const bad = await visited({ "80 /": { status: 502 } });
  expect(bad.view.failure?.detail).toContain("gets 502 through nginx");
  expect(bad.view.failure?.fix).toMatch(/`cutover doctor` on the host .*nginx's error log says more/);
});

test.each([
  ["http://localhost:8000/login", "which is the visitor's own machine. Redirect to a path, such as /login"],
  ["https://www.old-brand.example/", "sends every visitor to another site, https://www.old-brand.example/"],
  ["//shop.example.org/home", "sends every visitor to another site, http://shop.example.org/home"],
  ["http://shop.example.com:8000/home", "the site does not listen there on this host. It listens on 80: let the app"],
])("a front page that sends every visitor to %s warns", async (location, said) => {
  const front = { "80 /": { status: 302, location } };
  const { view, told } = await visited(front);
  expect(view).toMatchObject({ outcome: "succeeded" });
  expect(told).toContain(said);
  // Also when the health check asks for another page.
  expect((await visited(front, { health: { path: "/up" } })).told).toContain(said);
});

test("a login on another site, which is told where to send people back, is no fault", async () => {
  const location = "https://sso.example.org/login?next=https%3A%2F%2Fshop.example.com%2F";
  const { told } = await visited({ "80 /": { status: 302, location } });
  expect(told).toContain("sends visitors to the login at https://sso.example.org");
  expect(told).not.toContain("another site");
});

test("a front page that fails warns when the health check asks for another one", async () => {
  const { view, told } = await visited({ "80 /": { status: 500 } }, { health: { path: "/up" } });
  expect(view).toMatchObject({ outcome: "succeeded" });
  expect(told).toContain("gets 500 through nginx, and the health check, which asks for /up, does not show it");
});

test("a page whose style sheet is missing, or on the visitor's own machine, warns", async () => {
  const body = `<!doctype html><!-- <script src="/gone.js"></script> --><link rel="stylesheet" href="/static/site.css">
    <link rel=icon href=/favicon.ico><script src='http://localhost:3000/bundle.js'></script>`;
  const { view, told } = await visited({
    "80 /": { body },
    ...{ "80 /static/site.css": { status: 404 }, "80 /gone.js": { status: 404 }, "80 /favicon.ico": { status: 404 } },
  });
  expect(view).toMatchObject({ outcome: "succeeded" });
  expect(told).toContain("loads http://shop.example.com/static/site.css, and visitors get 404 for it");
  expect(told).toContain("loads http://localhost:3000/bundle.js, which is on the visitor's own machine");
  expect(told).not.toMatch(/gone\.js|favicon/);
});

test("a 502 of answers with more headers than nginx reads says so", async () => {
  const answers = { kind: "status", status: 200, body: "", location: undefined, headerBytes: 12_086 } as const;
  const { view } = await visited({ "80 /": { status: 502 } }, {}, answers);
  expect(view.failure?.detail).toContain("the headers of web-0 have 12,086 bytes, and nginx reads 4,096");
  expect(view.failure?.fix).toContain("a cookie");
});

test("a site without a front page is told, and is no warning", async () => {
  const { told, warned } = await visited({ "80 /": { status: 404 } }, { health: { path: "/up" } });
  expect(told).toContain("http://shop.example.com/ answers 404: visitors find no front page");
  expect(warned).toBe("");
});

test("a page that sends its visitors away by itself warns, and one that loads itself again does not", async () => {
  const refresh = (target: string) => ({ body: `<meta http-equiv="refresh" content="0; url=${target}">` });
  const { warned } = await visited({ "80 /": refresh("http://localhost:3000/") });
  expect(warned).toContain("sends every visitor to http://localhost:3000/, which is the visitor's own machine");
  expect((await visited({ "80 /": refresh("/") })).warned).toBe("");
});

test("redirects without an end warn, unless a cookie may end them", async () => {
  const chain = (cookie: object) =>
    Object.fromEntries(
      ["/", "/1", "/2", "/3", "/4", "/5"].map((path, index) => [
        `80 ${path}`,
        { status: 302, location: `/${index + 1}`, ...cookie },
      ]),
    );
  expect((await visited(chain({}))).warned).toContain("redirects 5 times in a row, last to http://shop.example.com/5");
  expect((await visited(chain({ cookie: true }))).warned).toBe("");
});

test("a style sheet in whose place there is a page warns", async () => {
  const body = "<!doctype html><link rel=stylesheet href=/site.css><script src=/app.js></script>";
  const { warned } = await visited({ "80 /": { body }, "80 /site.css": { body }, "80 /app.js": { body: "1" } });
  expect(warned).toContain("loads http://shop.example.com/site.css, and visitors get a page for it. Let");
});

test("a release that nobody sees, since the site is closed, says so", async () => {
  const host = new FakeHost();
  const agent = new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
  const ended = async (accepted: Promise<Accepted>): Promise<DeploymentView> =>
    agent.settled((await accepted).deployment, 10_000, never);
  await ended(agent.deploy("shop", host.request(v1, { watch: "0s" })));
  await agent.maintain("shop", { allow: [] });
  const { id } = await ended(agent.deploy("shop", host.request(v2, { watch: "0s" })));
  expect(JSON.stringify(host.disk.events.get(id))).toContain("`cutover maintenance off shop` on the host opens it");
});

test("a page that breaks off for visitors takes the traffic back", async () => {
  const { view } = await visited({ "80 /": { broken: true } });
  expect(view.failure?.detail).toContain("gets 200 and a page that breaks off");
});

test("what the app of a site without a name says to the name of another site is no fault", async () => {
  const visits = { "80 /": { status: 302, location: "http://login.example.net/x" }, "80 /x": { status: 500 } };
  const nameless = new FakeHost();
  nameless.settings = { ...nameless.settings, domains: ["*"] };
  expect((await visited(visits, {}, undefined, nameless)).view).toMatchObject({ outcome: "succeeded" });
  const own = { ...visits, "80 /": { status: 302, location: "/x" } };
  expect((await visited(own)).view).toMatchObject({ outcome: "failed" });
});
