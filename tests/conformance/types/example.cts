// The CommonJS build has the same types.
import sdk = require('@serveml/client');

async function main(): Promise<void> {
  const d = await new sdk.ServeMLClient().getDeployment('dep-1');
  console.log((await d.predict([1])).probabilities?.length);
}
void main();
