const axios = require('axios');

// Execute AI task
async function askAI(prompt) {
  try {
    const response = await axios.post('http://localhost:5000/api/task', {
      prompt: prompt,
      provider: 'openai'
    });
    
    console.log('AI Response:', response.data.response);
    console.log('Cost:', response.data.cost);
  } catch (error) {
    console.error('Error:', error.response.data.error);
  }
}

// Get report
async function getReport() {
  const response = await axios.get('http://localhost:5000/api/report/daily');
  console.log('Profit:', response.data.profit);
}

askAI('What is machine learning?');
getReport();
