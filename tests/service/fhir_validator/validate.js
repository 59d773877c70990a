// Reads lines of JSON, one resource each; writes for each a line with the validator's messages.
const { Fhir } = require('fhir');
const readline = require('readline');

const fhir = new Fhir();
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const found = fhir.validate(JSON.parse(line), { errorOnUnexpected: true });
  console.log(JSON.stringify(found.messages));
});
