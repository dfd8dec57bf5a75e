import type { Hint } from "./hint.ts";

const noMatch = /^ERROR: No matching distribution found for /;

/** Of package indexes. To pip one that fails looks like one without the package. */
export const pipIndexHints: Hint[] = [
  {
    id: "pip-index-refused",
    pattern: /Could not fetch URL \S+: (40[13]|407) Client Error: /,
    anywhere: "first",
    with: noMatch,
    cause: "The package index does not let this job in ({1}): {line}",
    fix: "Give it a user and a password: `index-url: https://USER:SECRET@...`, with a secret of the workflow. GitHub gives no secrets to a pull request from a fork, nor an environment's to a job without it.",
    example:
      "Could not fetch URL http://ci:****@127.0.0.1:18733/auth/simple/acme-billing/: 401 Client Error: Unauthorized for url: http://127.0.0.1:18733/auth/simple/acme-billing/ - skipping\nERROR: No matching distribution found for acme-billing==2.1",
  },
  {
    id: "pip-index-down",
    pattern:
      /Retry\(total=0,.*(Connection refused|Name or service not known|Temporary failure in name resolution|timed out|Cannot connect to proxy|Network is unreachable|No route to host|Connection reset by peer|closed connection without response)/,
    anywhere: "first",
    with: noMatch,
    cause: "The package index does not answer: {1}",
    fix: "Correct `index-url` of this step, or PIP_INDEX_URL in its environment, and see that this runner reaches it: the log has its address. An index in a private network needs a runner there.",
    example:
      "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection object at 0x7f4cf959ded0>: Failed to establish a new connection: [Errno 111] Connection refused')': /simple/nosuchthing/\nERROR: No matching distribution found for nosuchthing==1.0",
  },
  {
    id: "pip-index-certificate",
    pattern: /Could not fetch URL (https:\/\/[^/\s]+)\S* There was a problem confirming the ssl certificate/,
    anywhere: "first",
    with: noMatch,
    cause: "pip does not trust the certificate of the package index {1}",
    fix: "Give pip the authority that signed it: PIP_CERT in `env` of this step, with the path of a PEM file. A certificate that has expired, or is for another name, has to be made again.",
    example:
      "Could not fetch URL https://127.0.0.1:45831/simple/acme-pay/: There was a problem confirming the ssl certificate: HTTPSConnectionPool(host='127.0.0.1', port=45831): Max retries exceeded\nERROR: No matching distribution found for acme-pay==1.0",
  },
  {
    id: "pip-index-fails",
    pattern: /Could not fetch URL (\S+): .*(?:too many (5\d\d) error responses|: (5\d\d) Server Error)/,
    anywhere: "first",
    with: noMatch,
    cause: "The package index fails: it answers {2} at {1}",
    fix: "Run the job again when the index is well, or name another one by `index-url` of this step.",
    example:
      "Could not fetch URL http://127.0.0.1:18777/down/acme-pay/: HTTPConnectionPool(host='127.0.0.1', port=18777): Max retries exceeded with url: /down/acme-pay/ (Caused by ResponseError('too many 503 error responses')) - skipping\nERROR: No matching distribution found for acme-pay==1",
  },
  {
    id: "pip-other-system",
    pattern: /Skipping link: none of the wheel's tags \(([^)]+)\) are compatible.*?\/([^/\s]+?\.whl)/,
    anywhere: "first",
    with: noMatch,
    cause: "The package exists, and has no wheel for this Python and system: pip saw {2}",
    fix: "Pin a version that has a wheel for it, set the `python.version` that the wheel is for (cp311 is 3.11), or depend on the source (sdist) so that it is built here.",
    example:
      "Skipping link: none of the wheel's tags (cp311-cp311-win_amd64) are compatible (run pip debug --verbose to show compatible tags): file:///srv/dist/delta-1.0-cp311-cp311-win_amd64.whl\nERROR: No matching distribution found for delta==1.0",
  },
  {
    id: "pip-index-lacks",
    pattern: /Could not fetch URL (\S+): 404 Client Error/,
    anywhere: "first",
    with: noMatch,
    cause: "The package index has no such package: 404 at {1}",
    fix: "Correct the name of the package, or the index: `index-url` of this step. The address of most indexes ends in /simple; for a package of your own on a second index, `pip-arguments: --extra-index-url URL`.",
    example:
      "Could not fetch URL http://127.0.0.1:18777/nothere/acme-pay/: 404 Client Error: Not Found for url: http://127.0.0.1:18777/nothere/acme-pay/ - skipping\nERROR: No matching distribution found for acme-pay==1",
  },
  {
    id: "pip-index-untrusted",
    pattern: /The repository located at (\S+) is not a trusted or secure host and is being ignored/,
    anywhere: "first",
    with: noMatch,
    cause: "pip does not ask the package index {1}, because its address begins with http://",
    fix: "Write https:// in `index-url`, or let pip trust it: `pip-arguments: --trusted-host {1}`.",
    example:
      "WARNING: The repository located at pypi.internal.invalid is not a trusted or secure host and is being ignored.\nERROR: No matching distribution found for nosuchthing==1.0",
  },
];
