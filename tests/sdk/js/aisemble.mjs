// A walk through @aisemble/client; prints what came back as JSON. URL, KEY and IMAGE come from the test.
import { APIError, AiSembleClient } from '../../../sdk/js/aisemble/src/index.js';

const { URL: baseUrl, KEY: apiKey, IMAGE: image } = process.env;
const client = new AiSembleClient({ baseUrl, apiKey });
const talk = {
  messages: [{ role: 'user', content: 'What is the capital of France? Answer with one word.' }],
  maxTokens: 12,
  temperature: 0,
};
const out = { chat: (await client.llm.chat(talk)).choices[0].message.content, streamed: '' };
for await (const event of client.llm.chat({ ...talk, stream: true })) out.streamed += event.choices?.[0]?.delta?.content ?? '';
out.classes = (await client.vision.classify({ image, topK: 2 })).predictions.length;
const job = await client.jobs.create({
  service: 'nlp',
  parameters: { operation: 'analyze', analysis_types: ['language'], inputs: ['Good morning to all of you.', 'Bonjour tout le monde, comment allez-vous ?'] },
});
await client.jobs.wait(job.job_id, { timeoutMs: 60000 });
out.languages = [];
for await (const r of client.jobs.allResults(job.job_id)) out.languages.push(r.output.detected_language);
const twice = { prompt: 'Tell a story.', maxTokens: 6, temperature: 1.5, idempotencyKey: 'js-' + Date.now() };
out.once = (await client.llm.generate(twice)).request_id === (await client.llm.generate(twice)).request_id;
const see = { image, topK: 1, idempotencyKey: 'js-see-' + Date.now() };
out.once &&= (await client.vision.classify(see)).request_id === (await client.vision.classify(see)).request_id;
try {
  await client.llm.generate({ prompt: 'x', model: 'no-such-model' });
} catch (e) {
  out.refused = e instanceof APIError ? e.code : String(e);
}
console.log(JSON.stringify(out));
