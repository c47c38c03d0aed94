// Makes every call of Events, Queries and Legacy with the generated TypeScript client, which the compiler checks. Used by
// specification/clients/check.
//
// Usage: node calls.js URL DOCUMENT

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import createClient from 'openapi-fetch';

import type { components, operations, paths } from './api.d.ts';

type Event = components['schemas']['Event'];

const [baseUrl, file] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl });

const made = new Set<string>();
client.use({ onRequest: ({ request, schemaPath }) => void made.add(`${request.method.toLowerCase()} ${schemaPath}`) });

const seconds = Math.floor(Date.now() / 1000);
const [begin, now] = [seconds - 120, seconds].map((second) => new Date(second * 1000).toISOString().replace('.000', '')) as [
  string,
  string,
];
const start = (session_id: string): Event => ({ user_id: 'ts', session_id, event: 'start', ts: begin, country: 'CZ' });
const end = (session_id: string): Event => ({ user_id: 'ts', session_id, event: 'end', ts: seconds * 1000 });

async function send() {
  const events = [start('complete'), end('complete')];
  const sent = await client.POST('/v1/events', { body: { events }, params: { query: { strict: true } } });
  assert.equal(sent.data?.accepted, 2);
  assert.equal((await client.POST('/v1/events', { body: [start('open')] })).data?.accepted, 1);
  const mistyped = { ...start('mistyped'), contry: 'CZ' };
  const { error } = await client.POST('/v1/events', { body: [mistyped], params: { query: { strict: true } } });
  assert.ok(error && 'rejected' in error);
  const [rejected, code]: [components['schemas']['RejectionCode'] | undefined, components['schemas']['ErrorCode']] = [
    error.rejected[0]?.code,
    error.error.code,
  ];
  assert.deepEqual([rejected, code], ['unknown_field', 'nothing_usable']);
  // Older clients.
  assert.equal((await client.POST('/user/batches', { body: [end('orphan')] })).data?.accepted, 1);
  const rows = [{ player_id: 'ts', session_id: 'row', event: 'start' as const, ts: begin }];
  const old = await client.POST('/', { body: { rows }, headers: { accept: 'application/json' } });
  assert.ok(typeof old.data === 'object' && old.data.accepted === 1);
}

const explain = (session_id: string) =>
  client.GET('/v1/users/{user_id}/sessions/{session_id}', { params: { path: { user_id: 'ts', session_id } } });

async function wait(session: string) {
  for (let tries = 0; tries < 600; tries += 1) {
    if ((await explain(session)).data) return;
    await new Promise((resume) => setTimeout(resume, 50));
  }
  assert.fail(`${session} is not returned`);
}

async function explained() {
  assert.equal((await explain('nothing')).error?.error.code, 'unknown_session');
  const query = { user_id: 'ts', session_id: 'complete' };
  for (const { data } of [await explain('complete'), await client.GET('/v1/session', { params: { query } })]) {
    assert.equal(data?.session?.started_at, begin);
    assert.deepEqual(data.facts.map((fact) => fact.kind), ['start', 'end']);
  }
}

async function sessions() {
  const user_id = 'ts';
  const path = '/v1/users/{user_id}/sessions';
  const listed = [
    await client.GET(path, { params: { path: { user_id } } }),
    await client.GET('/v1/sessions', { params: { query: { user_id } } }),
  ];
  for (const { data } of listed) {
    const [session] = data?.sessions ?? [];
    assert.ok(session && 'duration_ms' in session && session.duration_ms === 120_000);
  }
  const open = await client.GET(path, { params: { path: { user_id }, query: { status: 'open' } } });
  assert.deepEqual(open.data?.sessions.map((session) => session.session_id).sort(), ['open', 'row']);
  const orphans = await client.GET('/v1/sessions', { params: { query: { user_id, status: 'orphan' } } });
  const [orphan] = orphans.data?.sessions ?? [];
  assert.ok(orphan && !('started_at' in orphan) && orphan.ended_at === now);
  const last = await client.GET('/user/last-sessions-user', { params: { query: { user_id } } });
  assert.equal(last.data?.[user_id]?.[0]?.session_id, 'complete');
}

async function starts() {
  const listed = await client.GET('/v1/session-starts', { params: { query: { from: begin, country: ['CZ', 'DE'] } } });
  assert.deepEqual(listed.data?.countries.CZ?.map((start) => start.ts), [begin, begin]);
  const counted = await client.GET('/v1/session-starts/counts', { params: { query: { hours: 1 } } });
  assert.ok(counted.data && 'countries' in counted.data && counted.data.countries.CZ === 2);
  const query = { hours: 1, step: 'minute' } satisfies operations['countSessionStarts']['parameters']['query'];
  const series = await client.GET('/v1/session-starts/counts', { params: { query } });
  assert.ok(series.data && 'series' in series.data && series.data.series.CZ?.[0]?.starts === 2);
  assert.equal((await client.GET('/v1/session-starts')).error?.error.code, 'missing_window');
  const last = await client.GET('/user/last-events', { params: { query: { days: 1 } } });
  assert.equal(last.data?.CZ?.length, 2);
  const page = await client.GET('/', { parseAs: 'text' });
  assert.ok(String(page.data).includes('<html'));
}

await send();
for (const session of ['complete', 'open', 'orphan', 'row']) await wait(session);
await explained();
await sessions();
await starts();

const described: Record<string, Record<string, { tags: string[] }>> = JSON.parse(readFileSync(file, 'utf8')).paths;
const left = Object.entries(described).flatMap(([path, item]) =>
  Object.entries(item)
    .filter(([method, { tags }]) => tags[0] !== 'Operations' && !made.has(`${method} ${path}`))
    .map(([method]) => `${method} ${path}`),
);
assert.deepEqual(left, [], 'calls that are not made');
