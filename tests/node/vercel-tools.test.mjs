// The Vercel AI SDK: tools in several steps, schemas, images and thinking.

import assert from "node:assert/strict";
import test from "node:test";
import { Output, generateObject, generateText, isStepCount, streamObject, streamText, tool } from "ai";
import { z } from "zod";
import { vercel } from "./clients.mjs";

const DEGREES = { Oslo: "7 degrees", Rome: "19 degrees" };
const CALL_OSLO = '[[offline: call get_weather {"city": "Oslo"}]]';
const CALL_BOTH = `${CALL_OSLO} [[offline: call get_weather {"city": "Rome"}]]`;
const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const ABOUT_OSLO = 'The weather in "Oslo": 7 degrees.';

const Weather = z.object({ city: z.string(), degrees: z.number(), rainy: z.boolean() });

const get_weather = tool({
  description: "Tell the weather.",
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => DEGREES[city],
});

/** What a schema was met with. */
function assertWeather(value) {
  assert.deepEqual(Weather.parse(value), value);
  assert.equal(value.city, "Oslo");
  assert.equal(value.degrees, 7);
}

test("generateText calls a tool and goes on with its result, in the same process", async (t) => {
  const { provider, wire } = vercel(t);
  const result = await generateText({
    model: provider("sonnet"),
    prompt: `How is the weather? ${CALL_OSLO}`,
    tools: { get_weather },
    stopWhen: isStepCount(5),
  });
  assert.equal(result.steps.length, 2);
  assert.equal(result.steps[0].finishReason, "tool-calls");
  assert.deepEqual(result.steps[0].toolCalls[0].input, { city: "Oslo" });
  assert.match(result.text, /7 degrees/);
  assert.equal(result.finishReason, "stop");
  assert.equal(wire.exchanges.length, 2);
  assert.equal(wire.exchanges[1].headers.get("x-session-start"), "live");
});

test("generateText carries out two calls of one step", async (t) => {
  const { provider } = vercel(t);
  const result = await generateText({
    model: provider("sonnet"),
    prompt: CALL_BOTH,
    tools: { get_weather },
    stopWhen: isStepCount(5),
  });
  assert.deepEqual(
    result.steps[0].toolResults.map((one) => one.output),
    ["7 degrees", "19 degrees"],
  );
  assert.match(result.text, /7 degrees.*19 degrees/);
});

test("streamText streams the arguments, the result and the answer", async (t) => {
  const { provider, wire } = vercel(t);
  const result = streamText({
    model: provider("sonnet"),
    prompt: `[[offline: pace 0.05]] ${CALL_BOTH}`,
    tools: { get_weather },
    stopWhen: isStepCount(5),
  });
  const parts = [];
  for await (const part of result.fullStream) parts.push(part);
  const of = (type) => parts.filter((part) => part.type === type);
  assert.deepEqual(of("error"), []);
  assert.equal(of("tool-input-start").length, 2);
  assert.ok(of("tool-input-delta").length > 2, "the arguments came whole");
  assert.deepEqual(
    of("tool-call").map((part) => part.input.city),
    ["Oslo", "Rome"],
  );
  assert.equal(of("tool-result").length, 2);
  assert.match(await result.text, /7 degrees.*19 degrees/);
  assert.equal(wire.exchanges.length, 2);
});

test("generateText gives an object of the schema", async (t) => {
  const { provider } = vercel(t, { supportsStructuredOutputs: true });
  const output = Output.object({ schema: Weather });
  const result = await generateText({ model: provider("sonnet"), prompt: ABOUT_OSLO, output });
  assertWeather(result.output);
  assert.equal(result.finishReason, "stop");
});

test("streamText streams an object of the schema", async (t) => {
  const { provider } = vercel(t, { supportsStructuredOutputs: true });
  const output = Output.object({ schema: Weather });
  const result = streamText({ model: provider("sonnet"), prompt: ABOUT_OSLO, output });
  let partial;
  for await (partial of result.partialOutputStream);
  assertWeather(partial);
  assertWeather(await result.output);
});

test("generateObject and streamObject, which older programs use", async (t) => {
  const { provider } = vercel(t, { supportsStructuredOutputs: true });
  const asked = { model: provider("sonnet"), prompt: ABOUT_OSLO, schema: Weather };
  assertWeather((await generateObject(asked)).object);
  let partial;
  for await (partial of streamObject(asked).partialObjectStream);
  assertWeather(partial);
});

test("an image is seen", async (t) => {
  const { provider } = vercel(t);
  const content = [
    { type: "text", text: "What do you see?" },
    { type: "file", data: PNG, mediaType: "image/png" },
  ];
  const result = await generateText({ model: provider("sonnet"), messages: [{ role: "user", content }] });
  assert.match(result.text, /^I see an image \(image\/png, \d+ bytes\)/);
});

test("thinking comes as reasoning", async (t) => {
  const { provider } = vercel(t);
  const asked = { model: provider("sonnet"), prompt: "Hello there. [[offline: think]]" };
  const whole = await generateText(asked);
  assert.match(whole.reasoningText, /Hello there/);
  assert.ok(!whole.text.includes("They said"));
  const streamed = streamText(asked);
  assert.match(await streamed.reasoningText, /Hello there/);
});
