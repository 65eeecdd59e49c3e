// Vercel's AI SDK, unchanged, against the gateway at GATEWAY_URL.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateImage, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

const gateway = createOpenAICompatible({
  name: "gateway", baseURL: `${process.env.GATEWAY_URL}/v1/`, apiKey: "sk-alice", includeUsage: true,
});
const model = gateway("qwen3-max");

test("a text", async () => {
  const { text, finishReason } = await generateText({ model, prompt: "Say 'good morning'" });
  assert.deepEqual([text, finishReason], ["good morning", "stop"]);
});

test("a stream", async () => {
  const answer = streamText({ model, prompt: "Count to 5" });
  let text = "";
  for await (const piece of answer.textStream) text += piece;
  assert.equal(text, "1, 2, 3, 4, 5");
  assert.equal(await answer.finishReason, "stop");
  assert.ok((await answer.usage).totalTokens > 0);
});

test("a tool in several steps", async () => {
  const weather = tool({
    description: "The weather of a city.",
    inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }),
    execute: async ({ city }) => `${city}: 18 degrees`,
  });
  const { text } = await generateText({
    model, prompt: "What is the weather in Paris?", tools: { get_weather: weather }, stopWhen: stepCountIs(3),
  });
  assert.match(text, /18/);
});

test("a picture", async () => {
  const { image } = await generateImage({ model: gateway.imageModel("qwen3-vl-plus"), prompt: "A lake", size: "1024x1024" });
  assert.equal(image.mediaType, "image/png");
});

test("an error's own words", async () => {
  await assert.rejects(
    generateText({ model: gateway("gpt-99"), prompt: "Ping", maxRetries: 0 }),
    { statusCode: 404, message: "The model `gpt-99` does not exist here." },
  );
});
