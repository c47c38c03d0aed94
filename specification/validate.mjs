// Validates the contracts against the standards that they are written in, and their examples against
// their own schemas. Prints one line for each finding, and exits with 1 if there are any. It never
// contacts the network or a service.
//
// Usage: node validate.mjs MODULES, where MODULES is the folder that package.json was installed into.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const require = createRequire(path.join(path.resolve(process.argv[2]), 'package.json'));
const { fromFile, Parser } = require('@asyncapi/parser');
const Ajv = require('ajv/dist/2020');
const { PipelineId, RAMLConfiguration } = require('amf-client-js');

// The document is AsyncAPI 3.0; that a later version exists is not a finding.
const NO_FINDING = ['asyncapi-latest-version'];
const OWN_KEYWORDS = ['rejectionCodes', 'rejectedExamples', 'x-parser-schema-id'];

const COLLECTION = 'bookend.postman_collection.json';

let findings = 0;
function found(file, text) {
  findings += 1;
  console.error(`${file}: ${text}`);
}

function validator(schema) {
  const ajv = new Ajv({ allErrors: true, strict: true, strictTypes: false, strictRequired: false, allowUnionTypes: true });
  for (const keyword of OWN_KEYWORDS) ajv.addKeyword(keyword);
  const validate = ajv.compile(schema);
  return (value) => (validate(value) ? null : ajv.errorsText(validate.errors));
}

// A Rust test compares the schema with the parser. This is a second, independent implementation of
// JSON Schema, as clients in other languages use one.
function checkEvent(file) {
  const schema = JSON.parse(readFileSync(path.join(here, file)));
  const faults = validator(schema);
  for (const example of schema.examples) {
    const fault = faults(example);
    if (fault) found(file, `${JSON.stringify(example)}: ${fault}`);
  }
  for (const { code, value } of schema.rejectedExamples) {
    if (!faults(value)) found(file, `${JSON.stringify(value)} is valid, but must be rejected as ${code}`);
  }
}

async function checkTopics(file) {
  const { diagnostics, document } = await fromFile(new Parser(), path.join(here, file)).parse();
  for (const { code, message, path: at } of diagnostics) {
    if (!NO_FINDING.includes(code)) found(file, `${at.join('.')}: ${message}`);
  }
  // The AsyncAPI parser does not validate the examples.
  for (const message of document?.components().messages().all() ?? []) {
    const parts = { payload: validator(message.payload().json()), headers: validator(message.headers().json()) };
    const examples = message.examples().all();
    if (examples.length === 0) found(file, `${message.id()} has no example`);
    for (const example of examples) {
      for (const [part, faults] of Object.entries(parts)) {
        const fault = faults(example[part]());
        if (fault) found(file, `${message.id()}, example ${example.name()}: ${part}: ${fault}`);
      }
    }
  }
}

async function checkApi(file) {
  const client = RAMLConfiguration.RAML10().baseUnitClient();
  const parsed = await client.parse(pathToFileURL(path.join(here, file)).href);
  const transformed = client.transform(parsed.baseUnit, PipelineId.Editing);
  // Only this step validates the examples.
  const report = await client.validate(transformed.baseUnit);
  for (const { results } of [parsed, transformed, report]) {
    for (const { message, position } of results) found(file, `${position}: ${message.trim().replaceAll('\n', '; ')}`);
  }
  // Every reply has an example, and the collection, which runs against the program, makes every call.
  const items = requests(JSON.parse(readFileSync(path.join(here, COLLECTION))).item);
  for (const point of transformed.baseUnit.encodes.endPoints) {
    for (const operation of point.operations) {
      const call = `${operation.method.value()} ${point.path.value()}`;
      if (!items.some((one) => makes(call, one))) found(COLLECTION, `${call} is not requested by any item`);
      for (const reply of operation.responses) {
        for (const body of reply.payloads) {
          const hasExample = body.schema?.examples.length > 0;
          if (!hasExample) found(file, `${call}: ${reply.statusCode.value()} has no ${body.mediaType.value()} example`);
        }
      }
    }
  }
}

async function checkDescription(file) {
  const { Validator } = await import(pathToFileURL(require.resolve('@seriousme/openapi-schema-validator')).href);
  const specification = new Validator();
  const { valid, errors } = await specification.validate(JSON.parse(readFileSync(path.join(here, file))));
  if (!valid) found(file, JSON.stringify(errors));
  if (valid && specification.version !== '3.1') found(file, `the version is OpenAPI ${specification.version}; expected 3.1`);
}

function requests(items) {
  return items.flatMap(({ item, request }) => (item ? requests(item) : [request]));
}

// Whether a request makes a call. A segment of the call's path may be a variable.
function makes(call, { method, url }) {
  const [called, requested] = [call.split('/'), [`${method.toLowerCase()} `, ...url.path]];
  return called.length === requested.length && called.every((one, at) => one.startsWith('{') || one === requested[at]);
}

// The collection sends the seed batches exactly as data/ has them.
function checkSeeds(file) {
  const sent = requests(JSON.parse(readFileSync(path.join(here, file))).item).map(({ body }) => body?.raw);
  for (const seed of ['seed-batch.json', 'seed-rows.json']) {
    if (!sent.includes(readFileSync(path.join(here, '../data', seed), 'utf8'))) found(file, `no item sends data/${seed}`);
  }
}

const CHECKS = {
  'event.schema.json': checkEvent,
  'asyncapi.yaml': checkTopics,
  'userAPIs.raml': checkApi,
  'openapi.json': checkDescription,
  [COLLECTION]: checkSeeds,
};
for (const [file, check] of Object.entries(CHECKS)) {
  try {
    await check(file);
  } catch (error) {
    found(file, error.message);
  }
}
process.exitCode = findings ? 1 : 0;
