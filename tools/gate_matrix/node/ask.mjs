// node ask.mjs TOOL < CHANGES: what a tool says about each change. CHANGES is a list of [before, after, documents], where
// documents is a pair of AsyncAPI documents without references, or null. Prints a list of true if breaking, false, null.
import { readFileSync } from "node:fs";
import asyncapi from "@asyncapi/diff";
import jsonSchemaDiff from "json-schema-diff";
import validator from "json-schema-diff-validator";
import { check_compat, initSync } from "jsoncompat";

initSync({ module: readFileSync(new URL(import.meta.resolve("jsoncompat/jsoncompat_wasm_bg.wasm"))) });

const tools = {
  "@asyncapi/diff": async (before, after, documents) => {
    const found = asyncapi.diff(...documents);
    if (found.breaking().length > 0) return true;
    return found.unclassified().length > 0 ? null : false;
  },
  // what the later schema allows and the earlier one did not
  "json-schema-diff": async (before, after) =>
    (await jsonSchemaDiff.diffSchemas({ sourceSchema: before, destinationSchema: after })).additionsFound,
  // asks whether what the first allows fits the second: so the later one comes first
  "json-schema-diff-validator": async (before, after) => {
    try {
      validator.validateSchemaCompatibility(after, before);
      return false;
    } catch (error) {
      if (error.code === "ERR_ASSERTION") return true;
      throw error;
    }
  },
  jsoncompat: async (before, after) => !check_compat(JSON.stringify(before), JSON.stringify(after), "serializer"),
};

const changes = JSON.parse(readFileSync(0, "utf8"));
const ask = tools[process.argv[2]];
const said = [];
for (const change of changes) said.push(await ask(...change).catch(() => null));
console.log(JSON.stringify(said));
