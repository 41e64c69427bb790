// The official OpenAI client for JavaScript: function calling, schemas, images and thinking.

import assert from "node:assert/strict";
import test from "node:test";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { openai } from "./clients.mjs";

const DEGREES = { Oslo: "7 degrees", Rome: "19 degrees" };
const CALL_OSLO = '[[offline: call get_weather {"city": "Oslo"}]]';
const CALL_BOTH = `${CALL_OSLO} [[offline: call get_weather {"city": "Rome"}]]`;
const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const City = z.object({ city: z.string() });
const Weather = z.object({ city: z.string(), degrees: z.number(), rainy: z.boolean() });

const user = (content) => [{ role: "user", content }];

function tool(name) {
  const parameters = {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  };
  return { type: "function", function: { name, description: `Tell: ${name}.`, parameters } };
}

/** What the client would answer to the calls of a message. */
function results(message) {
  return message.tool_calls.map((call) => ({
    role: "tool",
    tool_call_id: call.id,
    content: DEGREES[JSON.parse(call.function.arguments).city],
  }));
}

/** The same tool for `runTools`, and the cities that it was asked for. */
function runnable() {
  const asked = [];
  const weather = zodFunction({
    name: "get_weather",
    description: "Tell the weather.",
    parameters: City,
    function: ({ city }) => {
      asked.push(city);
      return DEGREES[city];
    },
  });
  return { asked, weather };
}

test("a call comes back to the client, and its result goes on in the same process", async (t) => {
  const { client, wire } = openai(t);
  const common = { model: "sonnet", tools: [tool("get_weather")], conversation_id: "node-tool" };
  const messages = user(`How is the weather? ${CALL_OSLO}`);
  const first = await client.chat.completions.create({ ...common, messages });
  const { finish_reason, message } = first.choices[0];
  assert.equal(finish_reason, "tool_calls");
  assert.equal(message.content, null);
  assert.equal(message.tool_calls.length, 1);
  assert.equal(message.tool_calls[0].function.name, "get_weather");
  assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: "Oslo" });
  messages.push(message, ...results(message));
  const second = await client.chat.completions.create({ ...common, messages });
  assert.equal(second.choices[0].finish_reason, "stop");
  assert.match(second.choices[0].message.content, /7 degrees/);
  assert.equal(wire.exchanges[1].headers.get("x-session-start"), "live");
  assert.equal(second.conversation_id, first.conversation_id);
});

test("two calls come together, and their results may come in any order", async (t) => {
  const { client } = openai(t);
  const common = { model: "sonnet", tools: [tool("get_weather")] };
  const messages = user(`How is the weather? ${CALL_BOTH}`);
  const first = await client.chat.completions.create({ ...common, messages });
  const { message } = first.choices[0];
  assert.deepEqual(
    message.tool_calls.map((call) => JSON.parse(call.function.arguments).city),
    ["Oslo", "Rome"],
  );
  assert.equal(new Set(message.tool_calls.map((call) => call.id)).size, 2);
  messages.push(message, ...results(message).reverse());
  const second = await client.chat.completions.create({ ...common, messages });
  assert.match(second.choices[0].message.content, /7 degrees/);
  assert.match(second.choices[0].message.content, /19 degrees/);
});

test("parallel_tool_calls: false allows one call at a time", async (t) => {
  const { client } = openai(t);
  const answer = await client.chat.completions.create({
    model: "sonnet",
    tools: [tool("get_weather")],
    parallel_tool_calls: false,
    messages: user(CALL_BOTH),
  });
  assert.equal(answer.choices[0].message.tool_calls.length, 1);
});

test("tool_choice forces a call, names one, or forbids all", async (t) => {
  const { client } = openai(t);
  const common = { model: "sonnet", tools: [tool("get_weather"), tool("get_time")] };
  const ask = async (tool_choice, text) => {
    const answer = await client.chat.completions.create({ ...common, tool_choice, messages: user(text) });
    return answer.choices[0].message.tool_calls?.map((call) => call.function.name);
  };
  assert.equal((await ask("required", "Hello.")).length, 1);
  assert.deepEqual(await ask({ type: "function", function: { name: "get_time" } }, "Hello."), ["get_time"]);
  assert.equal(await ask("none", CALL_OSLO), undefined);
});

test("the arguments of two calls are streamed, each under its index", async (t) => {
  const { client } = openai(t);
  const stream = await client.chat.completions.create({
    model: "sonnet",
    tools: [tool("get_weather")],
    messages: user(`[[offline: pace 0.05]] ${CALL_BOTH}`),
    stream: true,
  });
  const calls = [];
  const finished = [];
  let pieces = 0;
  for await (const { choices } of stream) {
    if (choices[0].finish_reason) finished.push(choices[0].finish_reason);
    for (const { index, ...call } of choices[0].delta.tool_calls ?? []) {
      if (call.id) {
        assert.equal(index, calls.length);
        assert.equal(call.type, "function");
        calls.push({ id: call.id, name: call.function.name, json: "" });
      } else {
        assert.deepEqual(Object.keys(call.function), ["arguments"]);
      }
      calls[index].json += call.function.arguments ?? "";
      pieces += 1;
    }
  }
  assert.deepEqual(finished, ["tool_calls"]);
  assert.deepEqual(
    calls.map(({ name, json }) => [name, JSON.parse(json).city]),
    [
      ["get_weather", "Oslo"],
      ["get_weather", "Rome"],
    ],
  );
  assert.equal(new Set(calls.map((call) => call.id)).size, 2);
  assert.ok(pieces > 2, "the arguments came whole");
});

test("the stream helper accumulates calls and parses their arguments", async (t) => {
  const { client } = openai(t);
  const stream = client.chat.completions.stream({
    model: "sonnet",
    tools: [zodFunction({ name: "get_weather", description: "Tell the weather.", parameters: City })],
    messages: user(CALL_BOTH),
  });
  const done = [];
  stream.on("tool_calls.function.arguments.done", (event) => done.push(event.parsed_arguments));
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].finish_reason, "tool_calls");
  assert.deepEqual(done, [{ city: "Oslo" }, { city: "Rome" }]);
  assert.deepEqual(
    final.choices[0].message.tool_calls.map((call) => call.function.parsed_arguments),
    done,
  );
});

test("runTools calls the functions and tells the model", async (t) => {
  const { client, wire } = openai(t);
  const { asked, weather } = runnable();
  const messages = user(`Oslo and Rome. ${CALL_BOTH}`); // its own: of two conversations alike, neither is gone on with
  const runner = client.chat.completions.runTools({ model: "sonnet", tools: [weather], messages });
  const answer = await runner.finalContent();
  assert.deepEqual(asked, ["Oslo", "Rome"]);
  assert.match(answer, /7 degrees.*19 degrees/);
  assert.equal(wire.exchanges.length, 2);
  assert.equal(wire.exchanges[1].headers.get("x-session-start"), "live");
});

test("runTools does so on a stream", async (t) => {
  const { client, wire } = openai(t);
  const { asked, weather } = runnable();
  const runner = client.chat.completions.runTools({
    model: "sonnet",
    tools: [weather],
    messages: user(CALL_BOTH),
    stream: true,
  });
  let heard = "";
  runner.on("content", (delta) => (heard += delta));
  const answer = await runner.finalContent();
  assert.deepEqual(asked, ["Oslo", "Rome"]);
  assert.match(answer, /7 degrees.*19 degrees/);
  assert.equal(heard, answer);
  assert.equal(wire.exchanges.length, 2);
});

test("parse gives an object of the schema", async (t) => {
  const { client, wire } = openai(t);
  const answer = await client.chat.completions.parse({
    model: "sonnet",
    messages: user('The weather in "Oslo": 7 degrees.'),
    response_format: zodResponseFormat(Weather, "weather"),
  });
  const { finish_reason, message } = answer.choices[0];
  assert.equal(finish_reason, "stop");
  assert.equal(message.refusal, null);
  assert.equal(wire.exchanges[0].body.choices[0].message.tool_calls, undefined);
  assert.deepEqual(Weather.parse(message.parsed), message.parsed);
  assert.equal(message.parsed.city, "Oslo");
  assert.equal(message.parsed.degrees, 7);
});

test("an object of the schema is streamed", async (t) => {
  const { client } = openai(t);
  const stream = client.chat.completions.stream({
    model: "sonnet",
    messages: user('The weather in "Oslo": 7 degrees.'),
    response_format: zodResponseFormat(Weather, "weather"),
  });
  let heard = "";
  stream.on("content", (delta) => (heard += delta));
  const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0];
  assert.equal(finish_reason, "stop");
  assert.deepEqual(Weather.parse(message.parsed), message.parsed);
  assert.deepEqual(JSON.parse(heard), message.parsed);
});

test("an image by data URL is seen", async (t) => {
  const { client } = openai(t);
  const content = [
    { type: "text", text: "What do you see?" },
    { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}`, detail: "auto" } },
  ];
  const answer = await client.chat.completions.create({ model: "sonnet", messages: user(content) });
  assert.match(answer.choices[0].message.content, /^I see an image \(image\/png, \d+ bytes\)/);
});

test("thinking comes as reasoning_content", async (t) => {
  const { client } = openai(t);
  const answer = await client.chat.completions.create({
    model: "sonnet",
    messages: user("Hello there. [[offline: think]]"),
  });
  assert.match(answer.choices[0].message.reasoning_content, /Hello there/);
  assert.ok(!answer.choices[0].message.content.includes("They said"));
});

test("thinking is streamed before the answer", async (t) => {
  const { client } = openai(t);
  const stream = await client.chat.completions.create({
    model: "sonnet",
    messages: user("Hello there. [[offline: think]]"),
    stream: true,
  });
  let thought = "";
  let said = "";
  for await (const { choices } of stream) {
    const { content, reasoning_content } = choices[0].delta;
    if (reasoning_content) {
      assert.equal(said, "");
      thought += reasoning_content;
    }
    said += content ?? "";
  }
  assert.match(thought, /Hello there/);
  assert.ok(said.length > 0);
});

test("reasoning_effort, max_completion_tokens and stop have their effect", async (t) => {
  const { client } = openai(t);
  const ask = async (text, options) => {
    const answer = await client.chat.completions.create({ model: "sonnet", messages: user(text), ...options });
    return answer.choices[0];
  };
  const effort = await ask("What is your effort?", { reasoning_effort: "high" });
  assert.match(effort.message.content, /high/);
  const cut = await ask("[[offline: words 100]]", { max_completion_tokens: 20 });
  assert.equal(cut.finish_reason, "length");
  assert.ok(!cut.message.content.includes("word100"));
  const stopped = await ask("[[offline: words 100]]", { stop: ["word4"] });
  assert.equal(stopped.finish_reason, "stop");
  assert.equal(stopped.message.content.trim(), "word1 word2 word3");
});
