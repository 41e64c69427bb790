// The Vercel AI SDK on responses, by its provider for OpenAI: what a program gets that only changes the address.

import assert from "node:assert/strict";
import test from "node:test";
import { APICallError, Output, generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";
import { session, vercelOpenAI } from "./clients.mjs";

const DEGREES = { Oslo: "7 degrees", Rome: "19 degrees" };
const CALL_OSLO = '[[offline: call get_weather {"city": "Oslo"}]]';
const CALL_BOTH = `${CALL_OSLO} [[offline: call get_weather {"city": "Rome"}]]`;
const ABOUT_OSLO = 'The weather in "Oslo": 7 degrees.';
const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const Weather = z.object({ city: z.string(), degrees: z.number(), rainy: z.boolean() });
const get_weather = tool({
  description: "Tell the weather.",
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => DEGREES[city],
});
const tools = { get_weather };
const stopWhen = isStepCount(5);

// What begins a conversation is in no other test: of two conversations alike, neither is gone on with by its history.
const asks = (content) => ({ role: "user", content });
const starts = (wire) => wire.exchanges.map((one) => one.headers.get("x-session-start"));
const sent = (exchange) => exchange.request.input.map((item) => item.type ?? item.role);

/** All requests were of one conversation, and none but the first began a process. */
function assertOneProcess(wire) {
  assert.equal(new Set(wire.exchanges.map((one) => one.headers.get("x-conversation-id"))).size, 1);
  assert.deepEqual(
    starts(wire).slice(1),
    wire.exchanges.slice(1).map(() => "live"),
  );
}

/** All parts of a stream. */
async function read(result) {
  const parts = [];
  for await (const part of result.fullStream) parts.push(part);
  const of = (type) => parts.filter((part) => part.type === type);
  assert.deepEqual(of("error"), []);
  return { parts, of };
}

test("generateText answers, with its usage", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  const result = await generateText({
    model: provider("sonnet"),
    instructions: "Be brief.",
    prompt: "Remember the number 42.",
  });
  assert.match(result.text, /42/);
  assert.equal(result.finishReason, "stop");
  assert.deepEqual(result.warnings, []);
  assert.ok(result.usage.inputTokens > 0 && result.usage.outputTokens > 0);
  assert.match(result.response.modelId, /^claude-sonnet/);
  assert.equal(result.finalStep.providerMetadata.openai.responseId, wire.exchanges[0].body.id);
  assert.equal(wire.exchanges[0].headers.get("x-ignored-params"), null);
});

test("a second turn refers to the first one's items, and goes on in the same process", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  const messages = [asks("Remember the word whimbrel.")];
  const first = await generateText({ model: provider("sonnet"), messages });
  messages.push(...first.responseMessages, asks("What word did I ask you to remember?"));
  const again = await generateText({ model: provider("sonnet"), messages });
  assert.deepEqual(sent(wire.exchanges[1]), ["user", "item_reference", "user"]);
  assert.match(again.text, /whimbrel/);
  assertOneProcess(wire);
});

test("instructions stay what they are over the turns", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  const messages = [asks("Remember the word snipe.")];
  const asked = { model: provider("sonnet"), instructions: "You are a snipe." };
  messages.push(...(await generateText({ ...asked, messages })).responseMessages, asks("Which word to remember?"));
  const again = await generateText({ ...asked, messages });
  assert.match(again.text, /snipe/);
  assertOneProcess(wire);
});

test("generateText calls tools and goes on with their results, in the same process", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  const messages = [asks(`How is it there? ${CALL_BOTH}`)];
  const result = await generateText({ model: provider("sonnet"), messages, tools, stopWhen });
  assert.equal(result.steps[0].finishReason, "tool-calls");
  assert.deepEqual(
    result.steps[0].toolResults.map((one) => one.output),
    ["7 degrees", "19 degrees"],
  );
  assert.match(result.text, /7 degrees; 19 degrees/);
  assert.deepEqual(sent(wire.exchanges[1]), [
    "user",
    ...["function_call", "function_call"],
    ...["function_call_output", "function_call_output"],
  ]);
  messages.push(...result.responseMessages, asks(`And again? ${CALL_OSLO}`));
  const again = await generateText({ model: provider("sonnet"), messages, tools, stopWhen });
  assert.match(again.text, /7 degrees/);
  assert.equal(wire.exchanges.length, 4);
  assertOneProcess(wire);
});

test("streamText streams the arguments, the results, the answer and its usage", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  const prompt = `[[offline: pace 0.05]] ${CALL_BOTH} By stream.`;
  const result = streamText({ model: provider("sonnet"), prompt, tools, stopWhen });
  const { of } = await read(result);
  assert.equal(of("tool-input-start").length, 2);
  assert.ok(of("tool-input-delta").length > 2, "the arguments came whole");
  assert.deepEqual(
    of("tool-call").map((part) => part.input.city),
    ["Oslo", "Rome"],
  );
  assert.equal(of("tool-result").length, 2);
  assert.match(await result.text, /7 degrees; 19 degrees/);
  assert.ok((await result.usage).totalTokens > 0);
  assert.equal(wire.exchanges.length, 2);
  assertOneProcess(wire);
});

test("thinking comes as reasoning, and goes back", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  const providerOptions = { openai: { reasoningSummary: "auto", forceReasoning: true } };
  const asked = { model: provider("sonnet"), tools, stopWhen, providerOptions };
  const messages = [asks(`Hello there. [[offline: think]] ${CALL_OSLO}`)];
  const whole = await generateText({ ...asked, messages });
  assert.match(whole.steps[0].reasoningText, /Hello there/);
  assert.match(whole.text, /7 degrees/);
  messages.push(...whole.responseMessages, asks("Hello again. [[offline: think]]"));
  const streamed = streamText({ ...asked, messages });
  assert.match(await streamed.reasoningText, /Hello again/);
  assertOneProcess(wire);
});

test("without store the thinking travels, and the process goes on", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  const providerOptions = { openai: { store: false, reasoningSummary: "auto", forceReasoning: true } };
  const asked = { model: provider("sonnet"), tools, stopWhen, providerOptions };
  const messages = [asks(`Hello, whoever keeps nothing. [[offline: think]] ${CALL_OSLO}`)];
  const first = await generateText({ ...asked, messages });
  assert.deepEqual(sent(wire.exchanges[1]), ["user", "reasoning", "function_call", "function_call_output"]);
  assert.ok(wire.exchanges[1].request.input[1].encrypted_content);
  messages.push(...first.responseMessages, asks("What did you just say?"));
  const again = await generateText({ ...asked, messages });
  assert.match(again.text, /7 degrees/);
  assert.deepEqual(starts(wire).slice(1), ["live", "live"]);
});

test("previousResponseId goes on with the new message alone", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  const first = await generateText({ model: provider("sonnet"), prompt: "Remember the word dotterel." });
  const { responseId } = first.finalStep.providerMetadata.openai;
  const again = await generateText({
    model: provider("sonnet"),
    prompt: "What word did I ask you to remember?",
    providerOptions: { openai: { previousResponseId: responseId } },
  });
  assert.match(again.text, /dotterel/);
  assert.equal(wire.exchanges[1].request.previous_response_id, responseId);
  assert.deepEqual(sent(wire.exchanges[1]), ["user"]);
  assertOneProcess(wire);
});

test("previousResponseId goes on over the steps of a call", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  const first = await generateText({ model: provider("sonnet"), prompt: "Remember the word ruff." });
  const { responseId } = first.finalStep.providerMetadata.openai;
  const again = await generateText({
    model: provider("sonnet"),
    prompt: CALL_OSLO,
    tools,
    stopWhen,
    providerOptions: { openai: { previousResponseId: responseId } },
  });
  assert.match(again.text, /7 degrees/);
  const asked = wire.exchanges.slice(1);
  assert.deepEqual(
    asked.map((one) => one.request.previous_response_id),
    [responseId, responseId], // the same in each step, with all that came since
  );
});

test("a conversation is named by provider options", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  const made = await wire.fetch(`${process.env.GATEWAY_URL}/v1/conversations`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: "{}",
  });
  const { id } = await made.json();
  const asked = { model: provider("sonnet"), providerOptions: { openai: { conversation: id } } };
  await generateText({ ...asked, prompt: "Remember the word avocet." });
  const { pid } = await session(id);
  assert.match(await streamText({ ...asked, prompt: "What word did I ask you to remember?" }).text, /avocet/);
  assert.equal((await session(id)).pid, pid);
});

test("generateText and streamText give an object of the schema", async (t) => {
  const { provider } = vercelOpenAI(t);
  const asked = { model: provider("sonnet"), prompt: ABOUT_OSLO, output: Output.object({ schema: Weather }) };
  const whole = await generateText(asked);
  assert.deepEqual(Weather.parse(whole.output), whole.output);
  assert.equal(whole.output.degrees, 7);
  const streamed = streamText(asked);
  let partial;
  for await (partial of streamed.partialOutputStream);
  assert.deepEqual(partial, whole.output);
  assert.deepEqual(await streamed.output, whole.output);
});

test("what an agent did itself is told, and not done by the client", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  const prompt = 'Go. [[offline: call Bash {"command": "echo from the agent"}]]';
  const model = provider("agent/sonnet");
  const whole = await generateText({ model, prompt, stopWhen });
  const streamed = streamText({ model, prompt, stopWhen });
  const { of } = await read(streamed);
  for (const [calls, results] of [
    [whole.toolCalls, whole.toolResults],
    [of("tool-call"), of("tool-result")],
  ]) {
    assert.deepEqual(
      calls.map((call) => [call.toolName, call.providerExecuted, call.input]),
      [["mcp.Bash", true, { command: "echo from the agent" }]],
    );
    assert.equal(results[0].output.output, "from the agent");
  }
  assert.match(whole.text, /from the agent/);
  assert.equal(await streamed.text, whole.text);
  assert.equal(wire.exchanges.length, 2);
  const messages = [asks(prompt), ...whole.responseMessages, asks("What did you just say?")];
  const again = await generateText({ model, messages });
  assert.match(again.text, /from the agent/);
});

test("an agent goes on behind its response, with its files", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  const model = provider("agent/sonnet");
  const write = await generateText({ model, prompt: '[[offline: call Bash {"command": "echo kept > file.txt"}]]' });
  const { responseId } = write.finalStep.providerMetadata.openai;
  const read = await generateText({
    model,
    prompt: '[[offline: call Bash {"command": "cat file.txt"}]]',
    providerOptions: { openai: { previousResponseId: responseId } },
  });
  assert.match(read.text, /kept/);
  assertOneProcess(wire);
});

test("an image is seen", async (t) => {
  const { provider } = vercelOpenAI(t);
  const content = [
    { type: "text", text: "What do you see?" },
    { type: "file", data: PNG, mediaType: "image/png" },
  ];
  const result = await generateText({ model: provider("sonnet"), messages: [asks(content)] });
  assert.match(result.text, /^I see an image \(image\/png, \d+ bytes\)/);
});

test("an answer that is cut off says so", async (t) => {
  const { provider } = vercelOpenAI(t);
  const asked = { model: provider("sonnet"), prompt: "[[offline: words 100]]", maxOutputTokens: 20 };
  assert.equal((await generateText(asked)).finishReason, "length");
  assert.equal(await streamText(asked).finishReason, "length");
});

test("an error is an APICallError with the gateway's words", async (t) => {
  const { provider, wire } = vercelOpenAI(t);
  await assert.rejects(generateText({ model: provider("gpt 17"), prompt: "hello" }), (error) => {
    assert.ok(APICallError.isInstance(error));
    assert.equal(error.statusCode, 404);
    assert.equal(error.message, wire.exchanges[0].body.error.message);
    return true;
  });
});

test("an error in mid-stream reaches the reader", async (t) => {
  const { provider } = vercelOpenAI(t);
  const prompt = "[[offline: overloaded]] [[offline: pace 0.02]] [[offline: words 20]]";
  const result = streamText({ model: provider("sonnet"), prompt, onError: () => {} });
  const parts = [];
  for await (const part of result.fullStream) parts.push(part);
  assert.ok(parts.some((part) => part.type === "text-delta"));
  const failed = parts.find((part) => part.type === "error");
  assert.match(JSON.stringify(failed.error) + String(failed.error.message), /broke in the middle/);
});
