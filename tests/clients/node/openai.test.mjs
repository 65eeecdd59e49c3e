// OpenAI's Node SDK, unchanged, against the gateway at GATEWAY_URL.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI, { toFile } from "openai";

const gateway = process.env.GATEWAY_URL;
const client = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: "sk-alice", maxRetries: 0 });
const model = "qwen3-max";
const said = (content) => [{ role: "user", content }];
const PNG = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
const tools = [{
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
}];

async function bytesOf(response) {
  return Buffer.from(await response.arrayBuffer());
}

test("a chat", async () => {
  const answer = await client.chat.completions.create({ model, messages: said("Say 'good morning'") });
  assert.equal(answer.choices[0].message.content, "good morning");
  assert.ok(answer._request_id);
});

test("a stream with its usage", async () => {
  const stream = await client.chat.completions.create({
    model, messages: said("Count to 20"), stream: true, stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.total_tokens > 0);
  const text = chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
  assert.equal(text, Array.from({ length: 20 }, (_, at) => at + 1).join(", "));
});

test("a tool, run by the SDK's own runner", async () => {
  const cities = [];
  const runner = client.chat.completions.runTools({
    model,
    messages: said("What is the weather in Paris?"),
    tools: [{
      type: "function",
      function: { ...tools[0].function, parse: JSON.parse, function: ({ city }) => { cities.push(city); return "18 degrees"; } },
    }],
  });
  assert.match(await runner.finalContent(), /18/);
  assert.deepEqual(cities, ["Paris"]);
});

test("pictures by URL, in base64, and edited", async () => {
  const drawn = await client.images.generate({ prompt: "A lake", size: "1024x1024" });
  assert.ok(drawn.data[0].url.startsWith(`${gateway}/media/`));
  const whole = await client.images.generate({ prompt: "A lake", response_format: "b64_json" });
  const picture = Buffer.from(whole.data[0].b64_json, "base64");
  assert.deepEqual(picture.subarray(0, 8), PNG);
  const image = [await toFile(picture, "lake.png"), await toFile(picture, "second lake.png")];
  const edited = await client.images.edit({ image, prompt: "At night" });
  assert.deepEqual((await bytesOf(await fetch(edited.data[0].url))).subarray(0, 8), PNG);
});

test("a film from order to deletion", async () => {
  let video = await client.videos.create({ prompt: "Waves", seconds: "4", size: "1280x720" });
  while (video.status === "queued" || video.status === "in_progress") {
    await new Promise((resolve) => setTimeout(resolve, 200));
    video = await client.videos.retrieve(video.id);
  }
  assert.equal(video.status, "completed");
  const film = await bytesOf(await client.videos.downloadContent(video.id));
  assert.equal(film.subarray(4, 8).toString(), "ftyp");
  const listed = [];
  for await (const one of client.videos.list({ limit: 1 })) listed.push(one.id);
  assert.ok(listed.includes(video.id));
  assert.equal((await client.videos.delete(video.id)).deleted, true);
  await assert.rejects(client.videos.retrieve(video.id), OpenAI.NotFoundError);
});

test("models and files", async () => {
  assert.equal((await client.models.retrieve(model)).id, model);
  await assert.rejects(client.models.retrieve("vendor/none"), OpenAI.NotFoundError);
  const file = await client.files.create({ file: await toFile(PNG, "Отчёт.png"), purpose: "vision" });
  assert.equal(file.filename, "Отчёт.png");
  assert.deepEqual(await bytesOf(await client.files.content(file.id)), PNG);
  assert.equal((await client.files.delete(file.id)).deleted, true);
});

test("errors have their classes and their words", async () => {
  const chat = (fields, options) =>
    client.chat.completions.create({ model, messages: said("Ping"), ...fields }, options);
  await assert.rejects(chat({ messages: [] }), OpenAI.BadRequestError);
  await assert.rejects(chat({ model: "gpt-99" }), { status: 404, code: "model_not_found", param: "model" });
  const stranger = client.withOptions({ apiKey: "sk-wrong" });
  await assert.rejects(stranger.models.list(), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.ok(error.requestID);
    return true;
  });
});

test("a stream is left in the middle", async () => {
  const stream = await client.chat.completions.create({ model, messages: said("Count to 5000"), stream: true });
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) break;
  }
  assert.ok(stream.controller.signal.aborted);
});
