import { expect, expectTypeOf, it } from "vitest";
import { chain } from "../../../../agent/http/auth/chain.ts";
import {
  appAndTokenAreProven,
  appIsLookedUp,
  audienceIsExpected,
  headerIsPlain,
  identityIsTrusted,
  idsArePinned,
  issuerIsKnown,
  lifetimeIsShort,
  signatureAndTimesHold,
  signerMayDoThis,
  tokenIsFresh,
  tokenIsPresent,
  type Verified,
} from "../../../../agent/http/auth/checks.ts";

// `tsc`, which `npm run check` runs, fails if a line below an expected error has none.
it("does not compile with a check left out, nor with two that changed places", () => {
  const present = chain(tokenIsPresent);
  // @ts-expect-error the header is not checked yet
  present.next(appIsLookedUp);
  const plain = present.next(headerIsPlain);
  // @ts-expect-error whose settings?
  plain.next(issuerIsKnown);
  const known = plain.next(appIsLookedUp);
  // @ts-expect-error the issuer is not known yet
  known.next(audienceIsExpected);
  const issued = known.next(issuerIsKnown);
  // @ts-expect-error for which audience?
  issued.next(signatureAndTimesHold);
  const expected = issued.next(audienceIsExpected);
  // @ts-expect-error nothing is signed yet
  expected.next(lifetimeIsShort);
  const signed = expected.next(signatureAndTimesHold);
  // @ts-expect-error how long is it good?
  signed.next(identityIsTrusted);
  const short = signed.next(lifetimeIsShort);
  // @ts-expect-error is there such an app?
  short.next(identityIsTrusted);
  const proven = known.next(appAndTokenAreProven);
  // @ts-expect-error who is it?
  proven.next(signerMayDoThis);
  const identified = proven.next(identityIsTrusted);
  // @ts-expect-error the signer may do nothing yet
  identified.next(idsArePinned);
  const granted = identified.next(signerMayDoThis);
  // @ts-expect-error the token would be used up, and the ids are not pinned yet
  granted.next(tokenIsFresh);
  const whole = granted.next(idsArePinned).next(tokenIsFresh);
  expectTypeOf(whole.run).returns.resolves.toEqualTypeOf<Verified>();
});

it("runs the checks in their order, and none after one that throws", async () => {
  const ran: number[] = [];
  const step = (number: number) => (known: number[]) => {
    ran.push(number);
    if (number === 3) throw new Error("refused");
    return [...known, number];
  };
  await expect(chain(step(1)).next(step(2)).run([])).resolves.toEqual([1, 2]);
  ran.length = 0;
  const refused = chain(step(1))
    .next(async (known) => step(2)(known))
    .next(step(3))
    .next(step(4));
  await expect(refused.run([])).rejects.toThrow("refused");
  expect(ran).toEqual([1, 2, 3]);
});
