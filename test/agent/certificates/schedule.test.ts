import { describe, expect, test } from "vitest";
import { covers, orderTime, pauseAfter, readCertificate, renewalTime } from "../../../agent/certificates/schedule.ts";
import { siteRecord } from "../../../agent/contracts/certificates.ts";
import { certificateRequest } from "../../../agent/host/certificates/certificate-request.ts";
import { openAuthority } from "../../harness/authority.ts";
import { scratch } from "../host/scratch.ts";

const day = 86_400_000;
const certificate = { names: ["a.example", "b.example"], serial: "01", issuer: "", begins: 0, expires: 90 * day };
const empty = siteRecord.parse({});
const window = (days: number, serial = "01") => ({ ...empty, window: { serial, renews: days * day, askAgain: 0 } });

test("a certificate is read as it is", async () => {
  const names = ["shop.example.com", "www.example.com"];
  const { request } = await certificateRequest(names);
  const read = readCertificate(openAuthority(scratch()).sign(request, 20));
  expect(read).toMatchObject({ names, issuer: "Test Root" });
  expect(read.expires - read.begins).toBe(20 * day);
});

test.each([
  ["after two thirds of its life, if the authority says nothing", empty, 60],
  ["when the authority says, if that is earlier", window(40), 40],
  ["when the authority says, if that is later", window(70), 70],
  ["not so late that there is no time to try again", window(89), 81],
  ["not by what was said of another certificate", window(5, "02"), 60],
])("it is renewed %s", (_, record, days) => {
  expect(renewalTime(certificate, record)).toBe(days * day);
});

describe("an order is made", () => {
  test("at once without a certificate, and when a name is missing", () => {
    expect(orderTime(undefined, ["a.example"], empty)).toBe(0);
    expect(covers(certificate, ["a.example"])).toBe(true);
    expect(orderTime(certificate, ["a.example", "c.example"], empty)).toBe(0);
    expect(orderTime(certificate, ["b.example"], empty)).toBe(60 * day);
  });

  test("not before the pause after a failure is over", () => {
    expect(orderTime(undefined, ["a.example"], { ...empty, notBefore: 7 })).toBe(7);
  });
});

test("the pauses grow, differ from host to host, and are never longer than a day", () => {
  const minutes = (failures: number, retryAfterMs = 0, random = 0.5) =>
    pauseAfter(failures, retryAfterMs, random) / 60_000;
  expect([1, 2, 3, 4, 5, 6, 7, 8, 100].map((failures) => minutes(failures))).toEqual([
    ...[1, 5, 15, 60, 180, 360, 720, 720, 720],
  ]);
  expect([minutes(4, 0, 0), Math.round(minutes(4, 0, 1))]).toEqual([48, 72]);
  expect(minutes(1, 7_200_000)).toBe(120);
  expect(minutes(1, 9e12)).toBe(1440);
  // In the first hour Let's Encrypt sees no more than its limit of five failed proofs.
  let time = 0;
  const tried = [0, ...[1, 2, 3, 4, 5].map((failures) => (time += minutes(failures, 0, 0)))];
  expect(tried.filter((time) => time < 60).length).toBeLessThanOrEqual(5);
});
