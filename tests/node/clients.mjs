// The clients as the tests use them: each answer is checked on its way in, as it came over the wire.

import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import OpenAI from "openai";
import { violations } from "./types.mjs";

const URL_OF_GATEWAY = process.env.GATEWAY_URL;
assert.ok(URL_OF_GATEWAY, "GATEWAY_URL must name a running gateway");
const BASE_URL = `${URL_OF_GATEWAY}/v1`;

/** The official client. `wire` is what went over the network: see `watch`. */
export function openai(t, options = {}) {
  const wire = watch(t);
  const ours = { baseURL: BASE_URL, apiKey: "unused", maxRetries: 0, fetch: wire.fetch };
  return { wire, client: new OpenAI({ ...ours, ...options }) };
}

/** The Vercel AI SDK's provider for compatible servers, and `wire`. */
export function vercel(t, options = {}) {
  const wire = watch(t);
  const ours = { name: "gateway", baseURL: BASE_URL, fetch: wire.fetch };
  return { wire, provider: createOpenAICompatible({ ...ours, ...options }) };
}

/** What `/v1/sessions` says of a conversation. */
export async function session(conversation) {
  const answer = await fetch(`${BASE_URL}/sessions/${conversation}`);
  assert.equal(answer.status, 200);
  return answer.json();
}

/** Wait until a turn of the conversation runs. */
export async function busy(conversation) {
  for (let tries = 0; tries < 500; tries++) {
    const answer = await fetch(`${BASE_URL}/sessions/${conversation}`);
    if (answer.ok && (await answer.json()).state === "busy") return;
    await new Promise((done) => setTimeout(done, 20));
  }
  assert.fail(`no turn of ${conversation} began`);
}

/** Delete a conversation. */
export async function remove(conversation) {
  const answer = await fetch(`${BASE_URL}/sessions/${conversation}`, { method: "DELETE" });
  assert.equal(answer.status, 204);
}

/**
 * A `fetch` that keeps every exchange and checks it against the SDK's types; what is wrong fails the test at its end.
 * An exchange has `request` (the body), `status`, `headers`, and `body` or `chunks`.
 */
function watch(t) {
  const exchanges = [];
  const wrong = new Map();
  t.after(() => {
    for (const [words, example] of wrong) console.error(`${t.name}: ${words}, as in ${example}`);
    assert.deepEqual([...wrong.keys()], []);
    assert.ok(exchanges.length > 0, "nothing went over the wire");
  });
  const check = (type, value) => {
    for (const words of violations(type, value)) wrong.set(words, JSON.stringify(value));
  };
  const watched = async (url, init) => {
    const exchange = { request: init?.body ? JSON.parse(init.body) : null };
    exchanges.push(exchange);
    const response = await fetch(url, init);
    exchange.status = response.status;
    exchange.headers = response.headers;
    if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
      exchange.chunks = [];
      return new Response(response.body.pipeThrough(eventStream(exchange.chunks, check, wrong)), response);
    }
    const text = await response.text();
    exchange.body = JSON.parse(text);
    check(response.ok ? typeOf(new URL(url).pathname) : "Error", exchange.body);
    return new Response(text, response);
  };
  return { fetch: watched, exchanges };
}

function typeOf(path) {
  if (path === "/v1/chat/completions") return "ChatCompletion";
  return path === "/v1/models" ? "ModelsPage" : "Model";
}

/** Lets an event stream through and checks it: chunks only, then [DONE], or an error where [DONE] would be. */
function eventStream(chunks, check, wrong) {
  const decoder = new TextDecoder();
  let rest = "";
  let ended = false;
  const line = (text) => {
    if (text === "" || text.startsWith(":")) return;
    if (ended) wrong.set("something follows the end of the stream", text);
    if (!text.startsWith("data: ")) return wrong.set("not a line of an event stream", text);
    const data = text.slice("data: ".length);
    if (data === "[DONE]") ended = true;
    else if ("error" in JSON.parse(data)) {
      ended = true;
      check("Error", JSON.parse(data));
    } else {
      chunks.push(JSON.parse(data));
      check("ChatCompletionChunk", chunks.at(-1));
    }
  };
  return new TransformStream({
    transform(bytes, controller) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop();
      lines.forEach(line);
      controller.enqueue(bytes);
    },
    flush() {
      if (rest !== "") wrong.set("the stream ends within a line", rest);
      if (!ended) wrong.set("the stream ends without [DONE]", chunks.at(-1)?.id);
    },
  });
}
