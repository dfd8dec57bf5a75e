import { expect, test } from "vitest";
import { renderCertificates } from "../../../../agent/cli/commands/tls.ts";
import type { CertificateView } from "../../../../shared/protocol.ts";

const now = Date.parse("2026-11-21T10:00:00Z");
const in_ = (days: number) => new Date(now + days * 86_400_000).toISOString();
const view: CertificateView = {
  app: "shop",
  names: ["shop.example.com", "www.example.com"],
  certificate: {
    names: ["shop.example.com", "www.example.com"],
    issuer: "Let's Encrypt",
    begins: in_(-30),
    expires: in_(60),
    served: true,
  },
  renews: in_(30),
  failures: 0,
  next: in_(30),
};
const shown = (...views: CertificateView[]) =>
  renderCertificates(views, { style: (_, text) => text, now, width: undefined });

test("the certificates of a host, one line each, and below them why one did not come", () => {
  const reason = "The authority could not prove blog.example.com:\n\u001b[31mno such name";
  const text = shown(
    view,
    { app: "blog", names: ["blog.example.com"], failures: 2, failed: { at: in_(0), reason }, next: in_(0.25) },
    { app: "new", names: [], failures: 0, waits: "its first deploy" },
    { app: "next", names: ["next.example.com"], failures: 0, next: in_(0) },
  );
  expect(
    text,
  ).toBe(`app   names                             state                       issuer         expires              renewed
shop  shop.example.com www.example.com  valid                       Let's Encrypt  2027-01-20 (in 60d)  in 30d
blog  blog.example.com                  failed 2x, again in 6h
new                                     waits for its first deploy
next  next.example.com                  ordered

blog, 2026-11-21 10:00 UTC: The authority could not prove blog.example.com: no such name`);
});

test("a certificate that nginx does not have yet, and one whose time has come", () => {
  const waiting = { ...view, certificate: { ...view.certificate, served: false }, renews: in_(-1) } as CertificateView;
  expect(shown(waiting)).toMatch(/nginx gets it after the running deployment .* now$/);
});
