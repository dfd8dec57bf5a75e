import { UsedTokensFile } from "../../agent/host/trust/used-tokens.ts";

// Spends one id, says so, and lives on until it is killed: `spender.ts FILE ID EXPIRES`.
const [file = "", id = "", expires = "0"] = process.argv.slice(2);
const tokens = await UsedTokensFile.open(file);
process.stdout.write(`${await tokens.spend(id, Number(expires))}\n`);
setInterval(() => undefined, 1000);
