// The clients as the tests use them: each answer is checked on its way in, as it came over the wire.

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
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

/** The Vercel AI SDK's provider for OpenAI, whose models ask for responses, and `wire`. */
export function vercelOpenAI(t, options = {}) {
  const wire = watch(t);
  const ours = { baseURL: BASE_URL, apiKey: "unused", fetch: wire.fetch };
  return { wire, provider: createOpenAI({ ...ours, ...options }) };
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
      const lines = new URL(url).pathname === "/v1/responses" ? eventLines : chunkLines;
      const watching = eventStream(lines(exchange.chunks, check, wrong), wrong);
      return new Response(response.body.pipeThrough(watching), response);
    }
    const text = await response.text();
    exchange.body = JSON.parse(text);
    check(response.ok ? typeOf(new URL(url).pathname, init?.method ?? "GET") : "Error", exchange.body);
    return new Response(text, response);
  };
  return { fetch: watched, exchanges };
}

function typeOf(path, method) {
  const [, , kind, id, part, item] = path.split("/");
  if (kind === "chat") return "ChatCompletion";
  if (kind === "models") return id === undefined ? "ModelsPage" : "Model";
  if (kind === "responses") {
    if (part === "input_items") return "ResponseItemList";
    return method === "DELETE" ? "ResponseDeleted" : "Response";
  }
  assert.equal(kind, "conversations");
  if (part === "items" && method !== "DELETE") return item === undefined ? "ConversationItemList" : "ConversationItem";
  return method === "DELETE" && part === undefined ? "ConversationDeleted" : "Conversation";
}

/** The lines of a chat: chunks only, then [DONE], or an error where [DONE] would be. Returns whether it ended. */
function chunkLines(chunks, check, wrong) {
  return (text) => {
    if (!text.startsWith("data: ")) return wrong.set("not a line of an event stream", text);
    if (text === "data: [DONE]") return true;
    const chunk = JSON.parse(text.slice("data: ".length));
    if ("error" in chunk) {
      check("Error", chunk);
      return true;
    }
    chunks.push(chunk);
    check("ChatCompletionChunk", chunk);
  };
}

/** The lines of a response: events of a name and a number, to the one that has the response whole; then [DONE]. */
function eventLines(events, check, wrong) {
  let name = "";
  return (text) => {
    if (text.startsWith("event: ")) name = text.slice("event: ".length);
    else if (text === "data: [DONE]") {
      const { type } = events.at(-1);
      if (!/^response\.(completed|incomplete|failed)$/.test(type)) wrong.set("the last event is no end", type);
      return true;
    } else if (text.startsWith("data: ")) {
      const event = JSON.parse(text.slice("data: ".length));
      if (event.type !== name) wrong.set("the event is not of the type that was named", text);
      if (event.sequence_number !== events.length) wrong.set("the event has another's number", text);
      events.push(event);
      check("ResponseStreamEvent", event);
    } else wrong.set("not a line of an event stream", text);
  };
}

/** Lets an event stream through and checks each line; `line` says when the stream is at its end. */
function eventStream(line, wrong) {
  const decoder = new TextDecoder();
  let rest = "";
  let ended = false;
  const take = (text) => {
    if (text === "" || text.startsWith(":")) return;
    if (ended) wrong.set("something follows the end of the stream", text);
    ended = line(text) === true;
  };
  return new TransformStream({
    transform(bytes, controller) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop();
      lines.forEach(take);
      controller.enqueue(bytes);
    },
    flush() {
      if (rest !== "") wrong.set("the stream ends within a line", rest);
      if (!ended) wrong.set("the stream ends without [DONE]", "");
    },
  });
}
