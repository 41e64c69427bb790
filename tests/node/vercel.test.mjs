// The Vercel AI SDK, by its provider for OpenAI-compatible servers.

import assert from "node:assert/strict";
import test from "node:test";
import { APICallError, generateText, streamText } from "ai";
import { session, vercel } from "./clients.mjs";

test("generateText answers, with its usage", async (t) => {
  const { provider } = vercel(t);
  const result = await generateText({
    model: provider("sonnet"),
    instructions: "Be brief.",
    prompt: "Remember the number 42.",
  });
  assert.match(result.text, /42/);
  assert.equal(result.finishReason, "stop");
  assert.deepEqual(result.warnings, []);
  assert.ok(result.usage.inputTokens > 0 && result.usage.outputTokens > 0);
  assert.equal(result.usage.totalTokens, result.usage.inputTokens + result.usage.outputTokens);
  assert.match(result.response.modelId, /^claude-sonnet/);
});

test("a history goes on in the same process", async (t) => {
  const { provider, wire } = vercel(t);
  const messages = [{ role: "user", content: "Remember the word curlew." }];
  const first = await generateText({ model: provider("sonnet"), messages });
  messages.push(...first.response.messages, { role: "user", content: "What word did I ask you to remember?" });
  const again = await generateText({ model: provider("sonnet"), messages });
  assert.match(again.text, /curlew/);
  assert.equal(again.response.headers["x-session-start"], "live");
  assert.equal(wire.exchanges[0].body.conversation_id, wire.exchanges[1].body.conversation_id);
});

test("a conversation is named by provider options", async (t) => {
  const { provider } = vercel(t);
  const providerOptions = { gateway: { conversation_id: "vercel-named" } };
  await generateText({ model: provider("sonnet"), prompt: "Remember the word plover.", providerOptions });
  const again = await generateText({
    model: provider("sonnet"),
    prompt: "What word did I ask you to remember?",
    providerOptions,
  });
  assert.match(again.text, /plover/);
  assert.equal(again.response.headers["x-conversation-id"], "vercel-named");
});

test("streamText streams, with its usage", async (t) => {
  const { provider } = vercel(t, { includeUsage: true });
  const result = streamText({ model: provider("sonnet"), prompt: "[[offline: pace 0.05]] [[offline: words 5]]" });
  const pieces = [];
  for await (const piece of result.textStream) pieces.push(piece);
  assert.equal(pieces.join(""), "word1 word2 word3 word4 word5");
  assert.ok(pieces.length > 1);
  assert.equal(await result.finishReason, "stop");
  assert.ok((await result.usage).totalTokens > 0);
});

test("an aborted streamText leaves the session ready for the next turn", async (t) => {
  const { provider } = vercel(t);
  const providerOptions = { gateway: { conversation_id: "vercel-abort" } };
  await generateText({ model: provider("sonnet"), prompt: "Remember the word avocet.", providerOptions });
  const { pid } = await session("vercel-abort");
  const leaving = new AbortController();
  const result = streamText({
    model: provider("sonnet"),
    prompt: "[[offline: pace 0.1]] [[offline: words 300]]",
    providerOptions,
    abortSignal: leaving.signal,
  });
  const kinds = [];
  for await (const part of result.fullStream) {
    kinds.push(part.type);
    if (part.type === "text-delta" && part.text.includes("word3")) leaving.abort();
  }
  assert.equal(kinds.at(-1), "abort");
  const after = await generateText({
    model: provider("sonnet"),
    prompt: "What word did I ask you to remember?",
    providerOptions,
  });
  assert.match(after.text, /avocet/);
  assert.equal(after.response.headers["x-session-start"], "live");
  assert.equal((await session("vercel-abort")).pid, pid);
});

test("an error is an APICallError with the gateway's words", async (t) => {
  const { provider, wire } = vercel(t);
  await assert.rejects(generateText({ model: provider("gpt 17"), prompt: "hello" }), (error) => {
    assert.ok(APICallError.isInstance(error));
    assert.equal(error.statusCode, 404);
    assert.equal(error.message, wire.exchanges[0].body.error.message);
    assert.equal(error.data.error.code, "model_not_found");
    return true;
  });
  assert.equal(wire.exchanges.length, 1);
});

test("an error in mid-stream reaches the reader", async (t) => {
  const { provider } = vercel(t);
  const result = streamText({
    model: provider("sonnet"),
    prompt: "[[offline: overloaded]] [[offline: pace 0.02]] [[offline: words 20]]",
    onError: () => {},
  });
  const parts = [];
  for await (const part of result.fullStream) parts.push(part);
  assert.ok(parts.some((part) => part.type === "text-delta"));
  const failed = parts.find((part) => part.type === "error");
  assert.match(String(failed.error.message ?? failed.error), /broke in the middle/);
});
