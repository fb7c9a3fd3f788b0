const { AiSembleClient } = require('@aisemble/client');

const client = new AiSembleClient({
  baseUrl: 'https://your-domain.com/api/v2',
  apiKey: 'your_api_key'
});

// Analyze image
const result = await client.vision.analyze({
  image: imageBuffer,
  analysisType: ['object_detection', 'text_extraction']
});

console.log(result.analysis_results);
