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
  Conversation: "conversations/conversations.d.ts",
  ConversationItemList: "conversations/items.d.ts",
  ErrorObject: "shared.d.ts",
  Model: "models.d.ts",
  ResponseItemList: "responses/input-items.d.ts",
  ResponseStreamEvent: "responses/responses.d.ts",
};

// What a response has that the client's types do not know: it is in the specification of Open Responses.
const OPEN_RESPONSES = {
  frequency_penalty: { type: "number" },
  presence_penalty: { type: "number" },
  store: { type: "boolean" },
};
const NOT_SENT = ["access_programs", "output_text"]; // of organizations at OpenAI; and what the client adds by itself
const NULLABLE = ["usage", "user"]; // OpenAI, too, sends them without a value, and the client for Python knows it

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
  everyObject(types.ResponseStreamEvent, ({ properties, required }) => {
    if (properties.object?.const === "response") asSent(properties, required);
    if (properties.type?.const === "error") properties.error = types.ErrorObject; // Open Responses has it there
    if (properties.type?.const === "json_schema") properties.description = nullable(properties.description);
    if (properties.type?.const === "response.function_call_arguments.done") properties.name = { type: "string" };
  });
  return types;
}

/** A response's schema becomes one of a response as it is sent. */
function asSent(properties, required) {
  const ours = { conversation_id: { type: ["string", "null"], minLength: 1 }, ...OPEN_RESPONSES };
  Object.assign(properties, ours);
  required.push(...Object.keys(ours));
  for (const name of NULLABLE) properties[name] = nullable(properties[name]);
  for (const name of NOT_SENT) {
    delete properties[name];
    required.splice(required.indexOf(name), 1);
  }
  const error = properties.error.anyOf.find((one) => one.properties);
  error.properties.type = { type: ["string", "null"] };
}

/** Calls `change` with each schema of an object within `schema`, once. */
function everyObject(schema, change, seen = new Set()) {
  if (schema === null || typeof schema !== "object" || seen.has(schema)) return;
  seen.add(schema);
  for (const part of Object.values(schema)) everyObject(part, change, seen);
  if (schema.type === "object" && schema.properties) change(schema);
}

const nullable = (schema) => ({ anyOf: [schema, { type: "null" }] });

const object = (properties) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

const types = withOurFields(await schemas());
const ajv = new Ajv({ allErrors: true, allowUnionTypes: true });
const event = (type) => types.ResponseStreamEvent.anyOf.find((one) => one.properties.type.const === type) ?? false;
const wanted = {
  ChatCompletion: () => types.ChatCompletion,
  ChatCompletionChunk: () => types.ChatCompletionChunk,
  Conversation: () => types.Conversation,
  ConversationDeleted: () => deleted("conversation.deleted"),
  ConversationItem: () => types.ConversationItemList.properties.data.items,
  ConversationItemList: () => types.ConversationItemList,
  Error: () => object({ error: types.ErrorObject }),
  Model: () => types.Model,
  ModelsPage: () => object({ object: { const: "list" }, data: { type: "array", items: types.Model } }),
  Response: () => event("response.completed").properties.response,
  ResponseDeleted: () => deleted("response"),
  ResponseItemList: () => types.ResponseItemList,
};
const checks = {};

function deleted(name) {
  return object({ id: { type: "string" }, object: { const: name }, deleted: { const: true } });
}

/** What is wrong with `value` as a `type` of the SDK, in words; nothing is an empty list. */
export function violations(type, value) {
  const name = type === "ResponseStreamEvent" ? value.type : type;
  const check = (checks[name] ??= ajv.compile(wanted[name]?.() ?? event(name))); // compiling all of them takes seconds
  if (check(value)) return [];
  return check.errors.map((error) => `${name}${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`);
}
