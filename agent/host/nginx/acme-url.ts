/** The URL of ACME challenges. */
export const acmeUrl = "/.well-known/acme-challenge/";
