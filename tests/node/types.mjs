// The OpenAI client's own type declarations as checks at run time: JSON schemas generated from its .d.ts files, strict.
// A field that the declarations do not name is a violation, unless it is one of the gateway's own, listed here.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Ajv } from "ajv";

const HERE = import.meta.dirname;
const OPENAI = join(HERE, "node_modules/openai/resources");
const DECLARED = {
  ChatCompletion: "chat/completions/completions.d.ts",
  ChatCompletionChunk: "chat/completions/completions.d.ts",
  ErrorObject: "shared.d.ts",
  Model: "models.d.ts",
};

/** The schemas, generated once for each lockfile: it takes seconds. */
async function schemas() {
  const key = createHash("sha256");
  for (const name of ["package-lock.json", "types.mjs"]) key.update(readFileSync(join(HERE, name)));
  const cached = join(HERE, "node_modules/.cache", `openai-types-${key.digest("hex").slice(0, 16)}.json`);
  try {
    return JSON.parse(readFileSync(cached, "utf8"));
  } catch {
    const generated = await generate();
    mkdirSync(dirname(cached), { recursive: true });
    writeFileSync(cached, JSON.stringify(generated));
    return generated;
  }
}

async function generate() {
  const { createGenerator } = await import("ts-json-schema-generator");
  const options = { skipTypeCheck: true, expose: "none", topRef: false, jsDoc: "none", additionalProperties: false };
  const made = {};
  for (const [type, file] of Object.entries(DECLARED)) {
    made[type] = createGenerator({ ...options, path: join(OPENAI, file), type }).createSchema(type);
  }
  return made;
}

function withOurFields(types) {
  for (const [type, said] of [["ChatCompletion", "message"], ["ChatCompletionChunk", "delta"]]) {
    const { properties, required } = types[type];
    properties.conversation_id = { type: "string", minLength: 1 };
    required.push("conversation_id");
    properties.choices.items.properties[said].properties.reasoning_content = { type: "string" };
  }
  return types;
}

const object = (properties) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

const types = withOurFields(await schemas());
const ajv = new Ajv({ allErrors: true, allowUnionTypes: true });
const checks = {
  ChatCompletion: ajv.compile(types.ChatCompletion),
  ChatCompletionChunk: ajv.compile(types.ChatCompletionChunk),
  Error: ajv.compile(object({ error: types.ErrorObject })),
  Model: ajv.compile(types.Model),
  ModelsPage: ajv.compile(object({ object: { const: "list" }, data: { type: "array", items: types.Model } })),
};

/** What is wrong with `value` as a `type` of the SDK, in words; nothing is an empty list. */
export function violations(type, value) {
  const check = checks[type];
  if (check(value)) return [];
  return check.errors.map((error) => `${type}${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`);
}
