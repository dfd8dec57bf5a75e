import { CompactEncrypt, CompactSign, generateSecret } from "jose";
import { hostName } from "../support.ts";
import { audience, decoded, encoded, keyOf, release, seconds } from "./good-token.ts";
import {
  aud,
  claims,
  foreignKey,
  header,
  hmac,
  line,
  type Mutation,
  mutation,
  rewritten,
  spliced,
  without,
} from "./mutation.ts";

const form: Mutation[] = [
  mutation("no token", "token_missing", async () => ({})),
  mutation("the token in the query", "token_missing", async (good) => {
    const token = await good.sign({ claims: { aud: `cutover/v1/${hostName}/shop/read` } });
    return { method: "GET", path: `/v1/apps/shop?access_token=${token}` };
  }),
  mutation("the token in a cookie", "token_missing", async (good) => ({
    headers: { cookie: `token=${await good.sign()}` },
  })),
  mutation("the token in X-Authorization", "token_missing", async (good) => ({
    headers: { "x-authorization": `Bearer ${await good.sign()}` },
  })),
  rewritten("another scheme", "token_malformed", (token) => `Basic ${token}`),
  rewritten("no scheme", "token_malformed", (token) => token),
  rewritten("two spaces after the scheme", "token_malformed", (token) => `Bearer  ${token}`),
  rewritten("a tab after the scheme", "token_malformed", (token) => `Bearer\t${token}`),
  rewritten("a space within the token", "token_malformed", (token) => `Bearer ${token.replace(".", ". ")}`),
  rewritten("two tokens in one header", "token_malformed", (token) => `Bearer ${token}, Bearer ${token}`),
  rewritten("two Authorization headers", "token_malformed", (token) => [`Bearer ${token}`, `Bearer ${token}`]),
  rewritten("another Authorization header before the good one", "token_malformed", (token) => [
    "Basic YTpi",
    `Bearer ${token}`,
  ]),
  rewritten("quotes around the token", "token_malformed", (token) => `Bearer "${token}"`),
  rewritten("padding at the end of the token", "token_malformed", (token) => `Bearer ${token}=`),
  rewritten("an empty token", "token_malformed", () => "Bearer "),
  spliced("the signature stripped with its dot", "token_malformed", (head, payload) => `${head}.${payload}`),
  spliced("the signature stripped", "token_malformed", (head, payload) => `${head}.${payload}.`),
  spliced("a part too many", "token_malformed", (head, payload, end) => `${head}.${payload}.${end}.${end}`),
  spliced("a header that is not JSON", "token_malformed", (_head, payload, end) => `bm90.${payload}.${end}`),
  spliced("a payload that is not JSON", "token_malformed", (head, _payload, end) => `${head}.bm90.${end}`),
  spliced("a payload that is a list", "token_malformed", (head, _payload, end) => `${head}.${encoded([1])}.${end}`),
  spliced("the token as a JSON document", "token_malformed", (head, payload, end) =>
    JSON.stringify({ protected: head, payload, signature: end }),
  ),
  mutation("a token that is too big", "token_malformed", (good) => good.sign({ claims: { filler: "x".repeat(9000) } })),
  mutation("an encrypted token", "token_malformed", async (good) => {
    const secret = await generateSecret("A256GCM", { extractable: true });
    const inner = new TextEncoder().encode(await good.sign());
    return new CompactEncrypt(inner).setProtectedHeader({ alg: "dir", enc: "A256GCM" }).encrypt(secret);
  }),
  mutation("a good token within a signed one", "token_malformed", async (good) => {
    const inner = new TextEncoder().encode(await good.sign());
    const headers = { alg: good.alg, kid: good.kid, cty: "JWT" };
    return new CompactSign(inner).setProtectedHeader(headers).sign(good.rawKey);
  }),
];

const algorithms: Mutation[] = [
  spliced(
    "alg none without a signature",
    "token_malformed",
    (head, payload) => `${encoded({ ...decoded(head), alg: "none" })}.${payload}.`,
  ),
  spliced(
    "alg none with a signature",
    "algorithm_refused",
    (head, payload, end) => `${encoded({ ...decoded(head), alg: "none" })}.${payload}.${end}`,
  ),
  spliced(
    "alg None",
    "algorithm_refused",
    (head, payload, end) => `${encoded({ ...decoded(head), alg: "None" })}.${payload}.${end}`,
  ),
  spliced(
    "no alg",
    "algorithm_refused",
    (head, payload, end) => `${encoded(without({ ...decoded(head), alg: undefined }))}.${payload}.${end}`,
  ),
  spliced(
    "alg as a list",
    "algorithm_refused",
    (head, payload, end) => `${encoded({ ...decoded(head), alg: [decoded(head).alg] })}.${payload}.${end}`,
  ),
  spliced(
    "alg in small letters",
    "algorithm_refused",
    (head, payload, end) =>
      `${encoded({ ...decoded(head), alg: String(decoded(head).alg).toLowerCase() })}.${payload}.${end}`,
  ),
  mutation("HS256 with the public key's PEM as its secret", "algorithm_refused", (good) =>
    hmac(good, good.publicTexts.pem),
  ),
  mutation("HS256 with the public JWK as its secret", "algorithm_refused", (good) => hmac(good, good.publicTexts.jwk)),
  mutation("the other kind's algorithm, well signed", "algorithm_refused", async (good) =>
    good.sign({ header: { alg: good.otherAlg }, key: await keyOf(good.otherAlg) }),
  ),
  mutation("ES256, well signed", "algorithm_refused", async (good) =>
    good.sign({ header: { alg: "ES256" }, key: await keyOf("ES256") }),
  ),
  mutation("PS256, well signed", "algorithm_refused", async (good) =>
    good.sign({ header: { alg: "PS256" }, key: await keyOf("PS256") }),
  ),
];

const headers: Mutation[] = [
  header("no kid", "key_unknown", { kid: undefined }),
  header("an unknown kid", "key_unknown", { kid: "somebody-else" }),
  header("a kid that is a path", "key_unknown", { kid: "../../../../etc/passwd" }),
  header("a kid that is a list", "key_unknown", { kid: ["a"] }),
  header("a kid that is a number", "key_unknown", { kid: 0 }),
  header("an empty kid", "key_unknown", { kid: "" }),
  header("a kid of an object's own words", "key_unknown", { kid: "__proto__" }),
  foreignKey("a jku with the attacker's keys", "jku", (attacker) => `${attacker}/jwks`),
  foreignKey("an x5u with the attacker's certificate", "x5u", (attacker) => `${attacker}/x5u`),
  foreignKey("an x5c with the attacker's certificate", "x5c", () => ["MIIB"]),
  foreignKey("the attacker's key as jwk", "jwk", () => undefined),
  header("a critical header", "header_refused", { crit: ["exp"], exp: 1 }, { header: "crit" }),
  header("an empty list of critical headers", "header_refused", { crit: [] }, { header: "crit" }),
  header("b64 false", "header_refused", { b64: false, crit: ["b64"] }, { header: "crit" }),
  header("b64 true", "header_refused", { b64: true }, { header: "b64" }),
  header("zip", "header_refused", { zip: "DEF" }, { header: "zip" }),
  header("enc", "header_refused", { enc: "A256GCM" }, { header: "enc" }),
  header("cty", "header_refused", { cty: "JWT" }, { header: "cty" }),
  header("another typ", "header_refused", { typ: "at+jwt" }, { header: "typ" }),
  header("a typ that is a list", "header_refused", { typ: ["JWT"] }, { header: "typ" }),
];

const signatures: Mutation[] = [
  mutation("a stranger's key under the trusted kid", "signature_invalid", async (good) =>
    good.sign({ key: (await good.stranger()).private }),
  ),
  mutation("a stranger's key under its own kid", "key_unknown", async (good) => {
    const { kid, private: key } = await good.stranger();
    return good.sign({ header: { kid }, key });
  }),
  spliced(
    "a changed signature",
    "signature_invalid",
    (head, payload, end) => `${head}.${payload}.${end.startsWith("A") ? "B" : "A"}${end.slice(1)}`,
  ),
  spliced(
    "a truncated signature",
    "signature_invalid",
    (head, payload, end) => `${head}.${payload}.${end.slice(0, -8)}`,
  ),
  spliced("a longer signature", "signature_invalid", (head, payload, end) => `${head}.${payload}.${end}AAAA`),
  spliced(
    "a signature of zeros",
    "signature_invalid",
    (head, payload, end) => `${head}.${payload}.${"A".repeat(end.length)}`,
  ),
  spliced(
    "a changed payload",
    "signature_invalid",
    (head, payload, end) => `${head}.${encoded({ ...decoded(payload), sub: "root" })}.${end}`,
  ),
  spliced(
    "a changed header",
    "signature_invalid",
    (head, payload, end) => `${encoded({ ...decoded(head), x: 1 })}.${payload}.${end}`,
  ),
  mutation("the signature of another good token", "signature_invalid", async (good) => {
    const [head, payload] = (await good.sign()).split(".");
    return `${head}.${payload}.${(await good.sign()).split(".")[2]}`;
  }),
];

const times: Mutation[] = [
  claims("no exp", "claim_invalid", () => ({ exp: undefined }), { claim: "exp" }),
  claims("an exp far away", "lifetime_too_long", () => ({ exp: seconds() + 86_400 })),
  claims("an exp that is a text", "claim_invalid", () => ({ exp: String(seconds() + 300) }), { claim: "exp" }),
  claims("an exp that is null", "claim_invalid", () => ({ exp: null }), { claim: "exp" }),
  claims("an exp of zero", "expired", () => ({ exp: 0 }), { claim: "exp" }),
  claims("expired", "expired", () => ({ iat: seconds() - 400, exp: seconds() - 31 }), { claim: "exp" }),
  claims("no iat", "claim_invalid", () => ({ iat: undefined }), { claim: "iat" }),
  claims("an iat in the future", "claim_invalid", () => ({ iat: seconds() + 90 }), { claim: "iat" }),
  claims("an iat of more than ten minutes ago", "expired", () => ({ iat: seconds() - 640, exp: seconds() - 20 }), {
    claim: "iat",
  }),
  claims("an iat that is a text", "claim_invalid", () => ({ iat: String(seconds()) }), { claim: "iat" }),
  claims("an nbf in the future", "claim_invalid", () => ({ nbf: seconds() + 90 }), { claim: "nbf" }),
  claims("an nbf that is a text", "claim_invalid", () => ({ nbf: String(seconds()) }), { claim: "nbf" }),
  claims("no jti", "claim_invalid", () => ({ jti: undefined }), { claim: "jti" }),
  claims("an empty jti", "claim_invalid", () => ({ jti: "" }), { claim: "jti" }),
  claims("a jti that is a number", "claim_invalid", () => ({ jti: 7 }), { claim: "jti" }),
  claims("a jti that is too long", "claim_invalid", () => ({ jti: "x".repeat(257) }), { claim: "jti" }),
];

const audiences: Mutation[] = [
  aud("no audience", "audience_malformed", undefined),
  aud("an empty audience", "audience_malformed", ""),
  aud("a list with only the right audience", "audience_malformed", [audience]),
  aud("a list with the right audience in it", "audience_malformed", [audience, "https://github.com/acme"]),
  aud("an audience that is an object", "audience_malformed", { [audience]: true }),
  aud("GitHub's usual audience", "audience_malformed", "https://github.com/acme"),
  aud("a part of the audience", "audience_malformed", audience.slice(0, -1)),
  aud("a longer audience", "audience_malformed", `${audience}0`),
  aud("an operation that every object has", "audience_malformed", `cutover/v1/${hostName}/shop/constructor`),
  aud("a slash at the end", "audience_malformed", `${audience}/`),
  aud("a slash twice", "audience_malformed", audience.replace("/shop/", "//shop/")),
  aud("a space before it", "audience_malformed", ` ${audience}`),
  aud("a newline after it", "audience_malformed", `${audience}\n`),
  aud("a percent-encoded slash", "audience_malformed", audience.replace("/shop/", "%2Fshop/")),
  aud("another version", "audience_malformed", audience.replace("v1", "v2")),
  aud(
    "a digest in capitals",
    "audience_malformed",
    audience.replace(/[0-9a-f]{64}$/, (digest) => digest.toUpperCase()),
  ),
  aud("an app in capitals", "audience_malformed", audience.replace("/shop/", "/Shop/")),
  aud("an app that only looks alike", "audience_malformed", audience.replace("/shop/", "/sh\u043ep/")),
  aud("another host", "host_unknown", audience.replace("web1", "web2")),
  aud("the host without its port", "host_unknown", audience.replace(":7070", "")),
  aud("the host in capitals", "host_unknown", audience.replace("web1", "WEB1")),
  aud("the host with a dot at its end", "host_unknown", audience.replace(".com:", ".com.:")),
  aud("a host that only looks alike", "host_unknown", audience.replace("example", "ex\u0430mple")),
  aud("another app", "audience_mismatch", audience.replace("/shop/", "/blog/")),
  aud("another operation", "audience_mismatch", `cutover/v1/${hostName}/shop/read`),
  aud("an activation instead of a deploy", "audience_mismatch", `cutover/v1/${hostName}/shop/activate/${release}`),
  mutation("a deploy instead of an activation", "audience_mismatch", async (good) => ({
    ...line(`Bearer ${await good.sign()}`),
    path: `/v1/apps/shop/releases/${release}/activate`,
  })),
  mutation("another release", "audience_mismatch", async (good) => {
    const other = `cutover/v1/${hostName}/shop/activate/20261121T103000Z-0000000`;
    return {
      ...line(`Bearer ${await good.sign({ claims: { aud: other } })}`),
      path: `/v1/apps/shop/releases/${release}/activate`,
    };
  }),
];

const issuers: Mutation[] = [
  claims("no issuer", "issuer_untrusted", () => ({ iss: undefined })),
  claims("an issuer that nobody knows", "issuer_untrusted", () => ({ iss: "https://issuer.example.com" })),
  mutation("a slash after the issuer", "issuer_untrusted", (good) => good.sign({ claims: { iss: `${good.issuer}/` } })),
  mutation("the issuer in capitals", "issuer_untrusted", (good) =>
    good.sign({ claims: { iss: good.issuer.toUpperCase() } }),
  ),
  mutation("a list of the right issuer", "issuer_untrusted", (good) => good.sign({ claims: { iss: [good.issuer] } })),
  mutation("a space after the issuer", "issuer_untrusted", (good) => good.sign({ claims: { iss: `${good.issuer} ` } })),
];

/** Tried with a token of each kind of signer. */
export const mutations: Mutation[] = [
  ...form,
  ...algorithms,
  ...headers,
  ...signatures,
  ...times,
  ...audiences,
  ...issuers,
];

/** The token of another kind than the app trusts. */
export const keyMutations: Mutation[] = [
  claims("GitHub's issuer under the own key", "issuer_untrusted", () => ({
    iss: "https://token.actions.githubusercontent.com",
  })),
];
