// The seed's example with CommonJS: the build has the same types.
import sdk = require('@aisemble/client');

async function main(): Promise<void> {
  const client = new sdk.AiSembleClient({ baseUrl: 'https://your-domain.com/api/v2', apiKey: 'your_api_key' });
  const result = await client.vision.analyze({
    image: new Uint8Array(3),
    analysisType: ['object_detection', 'text_extraction'],
  });
  console.log(result.analysis_results);
}
void main();
