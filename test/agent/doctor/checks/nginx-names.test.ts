import { nginx, testTraps } from "./traps.ts";

testTraps([
  [
    "a name that is too long",
    nginx({
      test: {
        ok: false,
        output:
          "nginx: [emerg] could not build server_names_hash, you should increase server_names_hash_bucket_size: 64\n",
      },
      configuration: [],
    }),
    "nginx-runs",
    "error",
    /could not build server_names_hash/,
    /server_names_hash_bucket_size 128;/,
  ],
]);
