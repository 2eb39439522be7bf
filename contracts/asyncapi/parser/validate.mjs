// node validate.mjs FILE... : what AsyncAPI's own parser says about each, as JSON; severity 0 is an error.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const parser = new Parser();
const found = {};
for (const file of process.argv.slice(2)) {
  const { diagnostics } = await parser.parse(readFileSync(file, "utf8"));
  found[file] = diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path, message }));
}
console.log(JSON.stringify(found));
