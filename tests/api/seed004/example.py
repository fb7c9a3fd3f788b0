import requests

# Execute AI task
response = requests.post('http://localhost:5000/api/task', json={
    'prompt': 'Explain quantum computing',
    'provider': 'openai',
    'user_id': 'user@example.com'
})

if response.status_code == 200:
    result = response.json()
    print(f"AI Response: {result['response']}")
    print(f"Cost: ${result['cost']:.4f}")
else:
    print(f"Error: {response.json()['error']}")

# Get daily report
report = requests.get('http://localhost:5000/api/report/daily').json()
print(f"Today's profit: ${report['profit']}")

# Get statistics
stats = requests.get('http://localhost:5000/api/stats').json()
print(f"Total tasks: {stats['tasks']['total']}")
print(f"Total profit: ${stats['financials']['profit']}")
