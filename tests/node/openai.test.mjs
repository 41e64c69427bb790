// The official OpenAI client for JavaScript.

import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";
import { busy, openai, remove, session } from "./clients.mjs";

const user = (content) => [{ role: "user", content }];
const words = (count) => Array.from({ length: count }, (_, index) => `word${index + 1}`).join(" ");

test("a completion has everything a normal answer has", async (t) => {
  const { client } = openai(t);
  const { data, response } = await client.chat.completions
    .create({ model: "sonnet", messages: user("Remember the number 42."), conversation_id: "node-whole" })
    .withResponse();
  assert.match(data.id, /^chatcmpl-/);
  assert.equal(data.choices.length, 1);
  assert.equal(data.choices[0].finish_reason, "stop");
  assert.match(data.choices[0].message.content, /42/);
  assert.match(data.model, /^claude-sonnet/);
  assert.ok(Math.abs(data.created - Date.now() / 1000) < 60);
  assert.ok(data.usage.prompt_tokens > 0 && data.usage.completion_tokens > 0);
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.equal(data.conversation_id, "node-whole");
  assert.equal(response.headers.get("x-conversation-id"), "node-whole");
});

test("a conversation goes on by its id, in the same process", async (t) => {
  const { client, wire } = openai(t);
  const first = await client.chat.completions.create({ model: "sonnet", messages: user("Remember the word heron.") });
  const { pid } = await session(first.conversation_id);
  const again = await client.chat.completions.create({
    model: "sonnet",
    messages: user([{ type: "text", text: "What word did I ask you to remember?" }]),
    conversation_id: first.conversation_id,
  });
  assert.match(again.choices[0].message.content, /heron/);
  assert.ok(again.usage.prompt_tokens_details.cached_tokens > 0);
  assert.equal(wire.exchanges[1].headers.get("x-session-start"), "live");
  assert.equal((await session(first.conversation_id)).pid, pid);
});

test("a client that sends its whole history goes on in the same process", async (t) => {
  const { client, wire } = openai(t);
  const messages = [{ role: "system", content: "Be brief." }, ...user("Remember the word osprey.")];
  const first = await client.chat.completions.create({ model: "sonnet", messages });
  messages.push(first.choices[0].message, ...user("What word did I ask you to remember?"));
  const again = await client.chat.completions.create({ model: "sonnet", messages });
  assert.match(again.choices[0].message.content, /osprey/);
  assert.equal(again.conversation_id, first.conversation_id);
  assert.equal(wire.exchanges[1].headers.get("x-session-start"), "live");
});

test("a stream comes in pieces", async (t) => {
  const { client, wire } = openai(t);
  const stream = await client.chat.completions.create({
    model: "sonnet",
    messages: user("[[offline: words 5]]"),
    stream: true,
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.deepEqual(chunks, wire.exchanges[0].chunks);
  assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
  assert.ok(chunks.every((chunk) => chunk.choices.length === 1 && chunk.usage == null));
  assert.equal(chunks[0].choices[0].delta.role, "assistant");
  assert.equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), words(5));
  assert.deepEqual(
    chunks.map((chunk) => chunk.choices[0].finish_reason),
    [...chunks.slice(1).fill(null), "stop"],
  );
});

test("include_usage adds one last chunk with the usage", async (t) => {
  const { client } = openai(t);
  const stream = await client.chat.completions.create({
    model: "sonnet",
    messages: user("[[offline: words 5]]"),
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.total_tokens, last.usage.prompt_tokens + last.usage.completion_tokens);
  assert.ok(chunks.every((chunk) => chunk.choices.length === 1 && chunk.usage === null));
});

test("the stream helper accumulates", async (t) => {
  const { client } = openai(t);
  const stream = client.chat.completions.stream({
    model: "sonnet",
    messages: user("[[offline: words 4]]"),
    stream_options: { include_usage: true },
  });
  let heard = "";
  stream.on("content", (delta) => (heard += delta));
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content, words(4));
  assert.equal(heard, words(4));
  assert.ok((await stream.totalUsage()).total_tokens > 0);
});

test("a wrong request is a BadRequestError that names the field", async (t) => {
  const { client } = openai(t);
  await assert.rejects(client.chat.completions.create({ model: "sonnet", messages: user("hello"), n: 3 }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.code, "unsupported_parameter");
    assert.equal(error.param, "n");
    assert.equal(error.type, "invalid_request_error");
    assert.ok(error.requestID);
    return true;
  });
  await assert.rejects(
    client.chat.completions.create({ model: "sonnet", messages: [{ role: "wizard", content: "hello" }] }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === "messages[0].role",
  );
});

test("an unknown model is a NotFoundError", async (t) => {
  const { client } = openai(t);
  const unknown = (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found";
  await assert.rejects(client.chat.completions.create({ model: "gpt 17", messages: user("hello") }), unknown);
  await assert.rejects(client.models.retrieve("gpt 17"), unknown);
});

test("failures of the model API have the client's own classes", async (t) => {
  const { client } = openai(t);
  const classes = {
    "error 401": OpenAI.AuthenticationError,
    "error 403": OpenAI.PermissionDeniedError,
    "error 429": OpenAI.RateLimitError,
    "error 500": OpenAI.InternalServerError,
    overflow: OpenAI.BadRequestError,
  };
  await Promise.all(
    Object.entries(classes).map(([directive, expected]) =>
      assert.rejects(
        client.chat.completions.create({ model: "sonnet", messages: user(`[[offline: ${directive}]]`) }),
        (error) => error instanceof expected && typeof error.code === "string",
        directive,
      ),
    ),
  );
});

test("an error before the first word of a stream is thrown by create", async (t) => {
  const { client } = openai(t);
  await assert.rejects(
    client.chat.completions.create({ model: "sonnet", messages: user("[[offline: overflow]]"), stream: true }),
    (error) => error instanceof OpenAI.BadRequestError && error.code === "context_length_exceeded",
  );
});

test("an error in mid-stream is thrown by the iteration", async (t) => {
  const { client, wire } = openai(t);
  const stream = await client.chat.completions.create({
    model: "sonnet",
    messages: user("[[offline: overloaded]] [[offline: pace 0.02]] [[offline: words 20]]"),
    stream: true,
  });
  await assert.rejects(
    async () => {
      for await (const _ of stream);
    },
    (error) => error instanceof OpenAI.APIError && error.code === "upstream_stream_interrupted",
  );
  assert.ok(wire.exchanges[0].chunks.length > 0);
});

test("an aborted stream leaves the session ready for the next turn", async (t) => {
  const { client, wire } = openai(t);
  const conversation_id = "node-abort";
  await client.chat.completions.create({ model: "sonnet", messages: user("Remember the word ibis."), conversation_id });
  const { pid } = await session(conversation_id);
  const stream = await client.chat.completions.create({
    model: "sonnet",
    messages: user("[[offline: pace 0.1]] [[offline: words 300]]"),
    stream: true,
    conversation_id,
  });
  let heard = "";
  for await (const chunk of stream) {
    heard += chunk.choices[0].delta.content ?? "";
    if (heard.includes("word3")) stream.controller.abort();
  }
  assert.ok(!heard.includes("word300"));
  const after = await client.chat.completions.create({
    model: "sonnet",
    messages: user("What word did I ask you to remember?"),
    conversation_id,
  });
  assert.match(after.choices[0].message.content, /ibis/);
  assert.equal(wire.exchanges[2].headers.get("x-session-start"), "live");
  assert.equal((await session(conversation_id)).pid, pid);
});

test("models are listed and retrieved", async (t) => {
  const { client } = openai(t);
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  for (const name of ["sonnet", "opus", "haiku", "gpt-4o"]) assert.ok(names.includes(name), name);
  assert.equal((await client.models.retrieve("sonnet")).id, "sonnet");
});

test("no retry where the gateway says that none helps", async (t) => {
  const { client, wire } = openai(t, { maxRetries: 2 });
  const answer = client.chat.completions.create({
    model: "sonnet",
    messages: user("[[offline: hang]]"),
    conversation_id: "node-deleted",
  });
  const conflict = assert.rejects(
    answer, // a 409, which the client would send again
    (error) => error instanceof OpenAI.ConflictError && error.code === "conversation_deleted",
  );
  await busy("node-deleted");
  await remove("node-deleted");
  await conflict;
  assert.equal(wire.exchanges.length, 1);
});

test("a retry waits as long as the gateway says", async (t) => {
  const { client, wire } = openai(t, { maxRetries: 1 });
  const began = Date.now();
  await assert.rejects(
    client.chat.completions.create({ model: "sonnet", messages: user("[[offline: error 429]]") }),
    OpenAI.RateLimitError,
  );
  assert.equal(wire.exchanges.length, 2);
  const wait = Number(wire.exchanges[0].headers.get("retry-after"));
  assert.ok(wait >= 1 && Date.now() - began >= wait * 1000);
});

test("an answer that was lost on its way is not made twice", async (t) => {
  let lost = 0;
  const { client, wire } = openai(t, {
    maxRetries: 1,
    fetch: async (...request) => {
      const response = await wire.fetch(...request);
      if (lost++ === 0) throw new TypeError("the connection broke");
      return response;
    },
  });
  const answer = await client.chat.completions.create(
    { model: "sonnet", messages: user("[[offline: words 3]]") },
    { headers: { "Idempotency-Key": "node-lost" } },
  );
  assert.equal(answer.choices[0].message.content, words(3));
  assert.equal(answer.id, wire.exchanges[0].body.id);
  assert.equal(wire.exchanges[1].headers.get("idempotent-replayed"), "true");
});
