// The official Anthropic client for JavaScript.

import assert from "node:assert/strict";
import test from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";
import { session } from "./clients.mjs";

const ASK_OSLO = '[[offline: call get_weather {"city": "Oslo"}]]';
const Weather = z.object({ city: z.string(), degrees: z.number() });

const client = new Anthropic({ baseURL: process.env.GATEWAY_URL, apiKey: "unused", maxRetries: 0 });
const common = { model: "sonnet", max_tokens: 4096 };

const user = (content) => ({ role: "user", content });
const said = (message) => message.content.map((block) => (block.type === "text" ? block.text : "")).join("");

function runnable() {
  const asked = [];
  const weather = betaZodTool({
    name: "get_weather",
    description: "Tell the weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    run: ({ city }) => {
      asked.push(city);
      return `7 degrees in ${city}`;
    },
  });
  return { asked, weather };
}

test("a client that sends everything again stays on one process", async () => {
  const messages = [user("Remember the word node-anthropic.")];
  const first = await client.messages.create({ ...common, messages });
  assert.match(first.id, /^msg_/);
  assert.match(first.model, /^claude-sonnet/);
  messages.push({ role: first.role, content: first.content }, user("Which word did I ask you to remember?"));
  const { data, response, request_id } = await client.messages.create({ ...common, messages }).withResponse();
  assert.match(said(data), /node-anthropic/);
  assert.equal(response.headers.get("x-session-start"), "live");
  assert.equal(request_id, response.headers.get("request-id"));
  assert.equal((await session(response.headers.get("x-conversation-id"))).turns, 2);
});

test("a stream comes to the message that it tells of", async () => {
  const asked = { ...common, thinking: { type: "adaptive" }, messages: [user("Think, and say hello.")] };
  const texts = [];
  const stream = client.messages.stream(asked).on("text", (text) => texts.push(text));
  const final = await stream.finalMessage();
  assert.equal(texts.join(""), said(final));
  assert.deepEqual(
    final.content.map((block) => block.type),
    ["thinking", "text"],
  );
  assert.equal(final.content[0].signature, "offline");
  assert.ok(final.usage.input_tokens > 0 && final.usage.output_tokens > 0);
});

test("the runner of tools goes on without a thread", async () => {
  const { asked, weather } = runnable();
  const final = await client.beta.messages.toolRunner({ ...common, tools: [weather], messages: [user(ASK_OSLO)] });
  assert.deepEqual(asked, ["Oslo"]);
  assert.equal(said(final), "The tool answered: 7 degrees in Oslo");
});

test("the runner of tools streams", async () => {
  const { asked, weather } = runnable();
  const runner = client.beta.messages.toolRunner({
    ...common,
    tools: [weather],
    messages: [user(ASK_OSLO)],
    stream: true,
  });
  let last;
  for await (const stream of runner) last = await stream.finalMessage();
  assert.deepEqual(asked, ["Oslo"]);
  assert.equal(said(last), "The tool answered: 7 degrees in Oslo");
});

test("a parsed answer", async () => {
  const answer = await client.messages.parse({
    ...common,
    messages: [user('It is 7 degrees in "Oslo".')],
    output_config: { format: zodOutputFormat(Weather) },
  });
  assert.deepEqual(answer.parsed_output, { city: "Oslo", degrees: 7 });
});

test("counting, and models", async () => {
  const { input_tokens } = await client.messages.countTokens({ model: "sonnet", messages: [user("Hello.")] });
  assert.ok(input_tokens > 0);
  const names = [];
  for await (const model of client.models.list({ limit: 2 })) names.push(model.id);
  assert.ok(names.includes("sonnet") && names.includes("agent/opus"));
  assert.equal((await client.models.retrieve("opus")).type, "model");
});

test("errors are Anthropic's", async () => {
  const refused = client.messages.create({ ...common, messages: [{ role: "assistant", content: "Ho" }] });
  await assert.rejects(refused, (error) => {
    assert.ok(error instanceof Anthropic.BadRequestError);
    assert.match(error.requestID, /^req_/);
    return /the last one must be the user's/.test(error.message);
  });
  const limited = client.messages.create({ ...common, messages: [user("[[offline: error 429]]")] });
  await assert.rejects(limited, Anthropic.RateLimitError);
  const broken = client.messages.stream({ ...common, messages: [user("[[offline: overloaded]] [[offline: words 30]]")] });
  await assert.rejects(broken.finalMessage(), /stream broke/);
});
