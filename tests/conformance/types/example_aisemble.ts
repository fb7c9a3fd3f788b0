// Compiled, never run: the declared types fit the way @aisemble/client is used.
import { AiSembleClient, APIError, JobFailed, QuotaExceededError } from '@aisemble/client';
import type { Message } from '@aisemble/client';

const client = new AiSembleClient({ baseUrl: 'https://your-domain.com/api/v2', apiKey: 'your_api_key' });

// The seed's example
const imageBuffer = new Uint8Array(3);
const result = await client.vision.analyze({
  image: imageBuffer,
  analysisType: ['object_detection', 'text_extraction'],
});
console.log(result.analysis_results);

const messages: Message[] = [{ role: 'user', content: 'What is the capital of France?' }];
const answer = await client.llm.chat({ messages, maxTokens: 150, parameters: { adapter: 'tone' }, idempotencyKey: 'k-1' });
console.log(answer.choices[0].message.content);
for await (const event of client.llm.generate({ prompt: 'Hello', stream: true })) console.log(event.delta);
const classes = await client.vision.classify({ image: 'photo.jpg', topK: 5, signal: new AbortController().signal });
console.log(classes.predictions[0].class, classes.charge_ids.length);
await client.nlp.analyze({ text: 'Good', analysisTypes: ['sentiment', 'language'], idempotencyKey: 'k-2' });
await client.nlp.summarize({ text: 'Long', maxLength: 100, minLength: 30, model: 'bart-large-cnn' });
await client.nlp.embeddings({ texts: ['a', 'b'] });
try {
  const job = await client.jobs.create({
    name: 'Reviews', service: 'nlp', parameters: { inputs: ['Great.'] }, priority: 'normal', scheduledAt: new Date(),
  });
  await client.jobs.wait(job.job_id, { timeoutMs: 60000 });
  for await (const item of client.jobs.allResults(job.job_id)) console.log(item.output);
} catch (e) {
  if (e instanceof JobFailed) console.log(e.job.error);
  else if (e instanceof QuotaExceededError) console.log('spent');
  else if (e instanceof APIError) console.log(e.code, e.requestId, e.retryAfter ?? 0);
}
const text: string = await client.health.metrics();
await client.ops.start('llm', { waitForHealth: true });
await client.ops.logs({ service: 'llm', level: 'error', limit: text.length });
await client.models.load('smollm2-135m-instruct', { forceReload: false });
await client.webhooks.create({ url: 'https://your-app.com/hook', events: ['job.completed'], secret: 's' });
await client.login('ann', 'secret');

// @ts-expect-error: the prompt is required
await client.llm.generate({ model: 'gpt-3.5-turbo' });
// @ts-expect-error: no such analysis
await client.vision.analyze({ image: imageBuffer, analysisType: 'faces' });
// @ts-expect-error: no such role
await client.llm.chat({ messages: [{ role: 'robot', content: 'x' }] });
// @ts-expect-error: a service is required
await client.jobs.create({ parameters: {} });
