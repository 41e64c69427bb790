// The official OpenAI client for JavaScript: responses and conversations.

import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { openai, session } from "./clients.mjs";

const DEGREES = { Oslo: "7 degrees", Rome: "19 degrees" };
const CALL_OSLO = '[[offline: call get_weather {"city": "Oslo"}]]';
const CALL_BOTH = `${CALL_OSLO} [[offline: call get_weather {"city": "Rome"}]]`;
const ABOUT_OSLO = 'The weather in "Oslo": 7 degrees.';
const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const Weather = z.object({ city: z.string(), degrees: z.number(), rainy: z.boolean() });
const weather = zodResponsesFunction({
  name: "get_weather",
  description: "Tell the weather.",
  parameters: z.object({ city: z.string() }),
});

const user = (content) => ({ role: "user", content });
const words = (count) => Array.from({ length: count }, (_, index) => `word${index + 1}`).join(" ");
const starts = (wire) => wire.exchanges.map((one) => one.headers.get("x-session-start"));
const conversations = (wire) => new Set(wire.exchanges.map((one) => one.headers.get("x-conversation-id")));

/** What the client would answer to the calls of a response. */
function outputs(response) {
  const calls = response.output.filter((item) => item.type === "function_call");
  return calls.map(({ call_id, arguments: given }) => ({
    type: "function_call_output",
    call_id,
    output: DEGREES[JSON.parse(given).city],
  }));
}

async function all(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

/** Waits for all of an answer that is streamed; says what was heard as well. */
async function heard(stream, type = "response.output_text.delta") {
  let said = "";
  stream.on(type, (event) => (said += event.delta));
  return { final: await stream.finalResponse(), said };
}

test("a response has everything a normal one has", async (t) => {
  const { client } = openai(t);
  const { data, response } = await client.responses
    .create({ model: "sonnet", input: "Remember the number 42.", instructions: "Be brief.", metadata: { one: "1" } })
    .withResponse();
  assert.match(data.id, /^resp_/);
  assert.equal(data.status, "completed");
  assert.match(data.output_text, /42/);
  assert.match(data.model, /^claude-sonnet/);
  assert.equal(data.instructions, "Be brief.");
  assert.deepEqual(data.metadata, { one: "1" });
  assert.equal(data.usage.total_tokens, data.usage.input_tokens + data.usage.output_tokens);
  assert.equal(response.headers.get("x-conversation-id"), data.conversation_id);
  assert.equal(response.headers.get("x-ignored-params"), null);
});

test("a response is kept, with what it was asked, until it is deleted", async (t) => {
  const { client } = openai(t);
  const made = await client.responses.create({ model: "sonnet", input: "Remember the word egret." });
  assert.deepEqual(await client.responses.retrieve(made.id), made);
  const [asked, ...others] = await all(client.responses.inputItems.list(made.id));
  assert.deepEqual(others, []);
  assert.equal(asked.content[0].text, "Remember the word egret.");
  await client.responses.delete(made.id);
  await assert.rejects(client.responses.retrieve(made.id), OpenAI.NotFoundError);
});

test("a response goes on behind another, in the same process", async (t) => {
  const { client, wire } = openai(t);
  const first = await client.responses.create({ model: "sonnet", input: "Remember the word heron." });
  const { pid } = await session(first.conversation_id);
  const again = await client.responses.create({
    model: "sonnet",
    input: "What word did I ask you to remember?",
    previous_response_id: first.id,
  });
  assert.match(again.output_text, /heron/);
  assert.equal(again.previous_response_id, first.id);
  assert.equal(starts(wire)[1], "live");
  assert.equal((await session(again.conversation_id)).pid, pid);
  assert.equal(conversations(wire).size, 1);
});

test("two responses behind one are two branches", async (t) => {
  const { client, wire } = openai(t);
  const first = await client.responses.create({ model: "sonnet", input: "Remember the word grebe." });
  const behind = { model: "sonnet", previous_response_id: first.id };
  await client.responses.create({ ...behind, input: "Remember the word loon." });
  const branch = await client.responses.create({ ...behind, input: "List everything I asked you to remember." });
  assert.match(branch.output_text, /grebe/);
  assert.ok(!branch.output_text.includes("loon"));
  assert.equal(conversations(wire).size, 2);
});

test("a client that sends its whole history goes on in the same process", async (t) => {
  const { client, wire } = openai(t);
  const input = [user("Remember the word merlin.")];
  const first = await client.responses.create({ model: "sonnet", input });
  input.push(...first.output, user("What word did I ask you to remember?"));
  const again = await client.responses.create({ model: "sonnet", input });
  assert.match(again.output_text, /merlin/);
  assert.equal(starts(wire)[1], "live");
  assert.equal(conversations(wire).size, 1);
});

test("a stream is events, one for each piece", async (t) => {
  const { client, wire } = openai(t);
  const input = `[[offline: pace 0.05]] [[offline: words 5]]`;
  const stream = await client.responses.create({ model: "sonnet", input, stream: true });
  const events = [];
  for await (const event of stream) events.push(event);
  assert.deepEqual(
    events.map(({ type, sequence_number }) => [type, sequence_number]),
    wire.exchanges[0].chunks.map(({ type, sequence_number }) => [type, sequence_number]),
  );
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.ok(deltas.length > 1);
  assert.equal(deltas.map((event) => event.delta).join(""), words(5));
  assert.deepEqual(
    events.filter((event) => !event.type.includes("delta")).map((event) => event.type),
    [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ],
  );
});

test("the stream helper accumulates what the server has in the end", async (t) => {
  const { client, wire } = openai(t);
  const input = `Tell. [[offline: think]] [[offline: text-and-calls]] ${CALL_BOTH}`;
  const asked = { model: "sonnet", input, tools: [weather], reasoning: { summary: "auto" } };
  const { final, said } = await heard(client.responses.stream(asked));
  assert.equal(said, "I will call get_weather and get_weather.");
  assert.deepEqual(
    final.output.map((item) => item.type),
    ["reasoning", "message", "function_call", "function_call"],
  );
  assert.match(final.output[0].summary[0].text, /They said: Tell/);
  const calls = final.output.slice(2);
  assert.deepEqual(calls.map((call) => call.parsed_arguments), [{ city: "Oslo" }, { city: "Rome" }]);
  const told = wire.exchanges[0].chunks.at(-1).response;
  assert.deepEqual((await client.responses.retrieve(final.id)).output, told.output);
  for (const [index, item] of told.output.entries()) {
    const done = wire.exchanges[0].chunks.find(
      (event) => event.type === "response.output_item.done" && event.output_index === index,
    );
    assert.deepEqual(done.item, item);
  }
});

test("a call comes back to the client, and its output goes on behind the response", async (t) => {
  const { client, wire } = openai(t);
  const common = { model: "sonnet", tools: [weather] };
  const first = await client.responses.parse({ ...common, input: `How is the weather? ${CALL_BOTH}` });
  assert.deepEqual(first.output.map((item) => item.parsed_arguments), [{ city: "Oslo" }, { city: "Rome" }]);
  const behind = { ...common, previous_response_id: first.id };
  const second = await client.responses.create({ ...behind, input: outputs(first).reverse() });
  assert.match(second.output_text, /7 degrees; 19 degrees/);
  assert.equal(starts(wire)[1], "live");
  assert.equal(conversations(wire).size, 1);
});

test("a streamed call is answered on a stream", async (t) => {
  const { client, wire } = openai(t);
  const common = { model: "sonnet", tools: [weather] };
  const input = `[[offline: pace 0.05]] ${CALL_OSLO}`;
  const first = await heard(
    client.responses.stream({ ...common, input }),
    "response.function_call_arguments.delta",
  );
  assert.deepEqual(JSON.parse(first.said), { city: "Oslo" });
  const behind = { ...common, previous_response_id: first.final.id, input: outputs(first.final) };
  const second = await heard(client.responses.stream(behind));
  assert.match(second.said, /7 degrees/);
  assert.equal(second.said, second.final.output_text);
  assert.equal(starts(wire)[1], "live");
});

test("an output for a call that nobody made is refused, and so is a call without one", async (t) => {
  const { client } = openai(t);
  const first = await client.responses.create({ model: "sonnet", tools: [weather], input: CALL_BOTH });
  const behind = { model: "sonnet", tools: [weather], previous_response_id: first.id };
  const given = outputs(first);
  const refused = (error) => error instanceof OpenAI.BadRequestError && error.type === "invalid_request_error";
  await assert.rejects(client.responses.create({ ...behind, input: given.slice(1) }), refused);
  await assert.rejects(
    client.responses.create({ ...behind, input: [...given, { ...given[0], call_id: "call_nobody" }] }),
    refused,
  );
  assert.match((await client.responses.create({ ...behind, input: given })).output_text, /7 degrees; 19 degrees/);
});

test("tool_choice forces a call, names one, or forbids all", async (t) => {
  const { client } = openai(t);
  const time = { ...weather, name: "get_time" };
  const ask = async (tool_choice, input) => {
    const { output } = await client.responses.create({ model: "sonnet", tools: [weather, time], tool_choice, input });
    return output.filter((item) => item.type === "function_call").map((item) => item.name);
  };
  assert.equal((await ask("required", "Hello.")).length, 1);
  assert.deepEqual(await ask({ type: "function", name: "get_time" }, "Hello."), ["get_time"]);
  assert.deepEqual(await ask("none", CALL_OSLO), []);
  const allowed = { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "get_time" }] };
  assert.deepEqual(await ask(allowed, "Hello."), ["get_time"]);
});

test("parse gives an object of the schema", async (t) => {
  const { client } = openai(t);
  const text = { format: zodTextFormat(Weather, "weather") };
  const answer = await client.responses.parse({ model: "sonnet", input: ABOUT_OSLO, text });
  assert.deepEqual(Weather.parse(answer.output_parsed), answer.output_parsed);
  assert.equal(answer.output_parsed.degrees, 7);
  assert.deepEqual(answer.output.map((item) => item.type), ["message"]);
});

test("an object of the schema is streamed", async (t) => {
  const { client } = openai(t);
  const text = { format: zodTextFormat(Weather, "weather") };
  const { final, said } = await heard(client.responses.stream({ model: "sonnet", input: ABOUT_OSLO, text }));
  assert.deepEqual(Weather.parse(final.output_parsed), final.output_parsed);
  assert.deepEqual(JSON.parse(said), final.output_parsed);
});

test("a conversation keeps items, and responses go on in it", async (t) => {
  const { client, wire } = openai(t);
  const conversation = await client.conversations.create({
    metadata: { topic: "birds" },
    items: [user("Remember the word plover."), { role: "assistant", content: "I will." }],
  });
  const asked = { model: "sonnet", conversation: conversation.id };
  const first = await client.responses.create({ ...asked, input: "What word did I ask you to remember?" });
  assert.match(first.output_text, /plover/);
  const called = await client.responses.create({ ...asked, tools: [weather], input: CALL_OSLO });
  const last = await client.responses.create({ ...asked, tools: [weather], input: outputs(called) });
  assert.match(last.output_text, /7 degrees/);
  const items = await all(client.conversations.items.list(conversation.id, { order: "asc", limit: 3 }));
  assert.deepEqual(
    items.map((item) => item.role ?? item.type),
    ["user", "assistant", "user", "assistant", "user", "function_call", "function_call_output", "assistant"],
  );
  assert.deepEqual(items.at(-1), last.output[0]);
  const retrieved = await client.conversations.items.retrieve(items[0].id, { conversation_id: conversation.id });
  assert.deepEqual(retrieved, items[0]);
  const ours = wire.exchanges.filter((one) => one.headers.has("x-session-start"));
  assert.deepEqual([...conversations({ exchanges: ours })], [conversation.id]);
});

test("a conversation is changed, and deleted", async (t) => {
  const { client } = openai(t);
  const { id } = await client.conversations.create({});
  const changed = await client.conversations.update(id, { metadata: { topic: "fish" } });
  assert.deepEqual(changed.metadata, { topic: "fish" });
  assert.deepEqual(await client.conversations.retrieve(id), changed);
  const items = [user("Remember the word carp."), user("Pike.")];
  const added = await client.conversations.items.create(id, { items });
  assert.equal(added.data.length, 2);
  await client.conversations.items.delete(added.data[0].id, { conversation_id: id });
  assert.deepEqual(
    (await all(client.conversations.items.list(id))).map((item) => item.content[0].text),
    ["Pike."],
  );
  assert.equal((await client.conversations.delete(id)).deleted, true);
  await assert.rejects(client.conversations.retrieve(id), OpenAI.NotFoundError);
});

test("what an agent did itself is told as items, and in events", async (t) => {
  const { client } = openai(t);
  const input = 'Go. [[offline: call Bash {"command": "echo from the agent"}]]';
  const { final } = await heard(client.responses.stream({ model: "agent/sonnet", input }));
  assert.deepEqual(final.output.map((item) => item.type), ["mcp_call", "message"]);
  assert.equal(final.output[0].output, "from the agent");
  const whole = await client.responses.create({ model: "agent/sonnet", input });
  assert.equal(whole.output[0].output, "from the agent");
});

test("a response in the background is asked for, and can be ended", async (t) => {
  const { client } = openai(t);
  let response = await client.responses.create({ model: "sonnet", input: "[[offline: words 3]]", background: true });
  while (["queued", "in_progress"].includes(response.status)) {
    await new Promise((done) => setTimeout(done, 50));
    response = await client.responses.retrieve(response.id);
  }
  assert.equal(response.output_text, words(3));
  const endless = await client.responses.create({ model: "sonnet", input: "[[offline: hang]]", background: true });
  assert.equal((await client.responses.cancel(endless.id)).status, "cancelled");
});

test("an image by data URL is seen", async (t) => {
  const { client } = openai(t);
  const content = [
    { type: "input_text", text: "What do you see?" },
    { type: "input_image", image_url: `data:image/png;base64,${PNG}`, detail: "auto" },
  ];
  const answer = await client.responses.create({ model: "sonnet", input: [user(content)] });
  assert.match(answer.output_text, /^I see an image \(image\/png, \d+ bytes\)/);
});

test("what max_output_tokens cuts is incomplete", async (t) => {
  const { client } = openai(t);
  const asked = { model: "sonnet", input: "[[offline: words 100]]", max_output_tokens: 20 };
  for (const answer of [await client.responses.create(asked), (await heard(client.responses.stream(asked))).final]) {
    assert.equal(answer.status, "incomplete");
    assert.equal(answer.incomplete_details.reason, "max_output_tokens");
    assert.ok(answer.output_text.startsWith("word1") && !answer.output_text.includes("word100"));
  }
});

test("a wrong request is a BadRequestError that names the field", async (t) => {
  const { client } = openai(t);
  await assert.rejects(client.responses.create({ model: "sonnet", input: "Hello.", top_logprobs: 2 }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.code, "unsupported_parameter");
    assert.equal(error.param, "top_logprobs");
    return true;
  });
  const nobodys = { model: "sonnet", input: "Hello.", previous_response_id: "resp_none" };
  await assert.rejects(client.responses.create(nobodys), (error) => error.param === "previous_response_id");
});

test("an error in mid-stream is an error event, and the response has failed", async (t) => {
  const { client, wire } = openai(t);
  const input = "[[offline: overloaded]] [[offline: pace 0.02]] [[offline: words 20]]";
  const stream = await client.responses.create({ model: "sonnet", input, stream: true });
  const said = [];
  await assert.rejects(async () => {
    for await (const event of stream) said.push(event);
  }, /broke in the middle/);
  assert.ok(said.some((event) => event.type === "response.output_text.delta"));
  assert.equal(wire.exchanges[0].chunks.find(({ type }) => type === "error").error.type, "server_error");
});
