// Every call of chat completions that openai-node's own suite makes (tests/api-resources/chat), to a server of
// the profile `mock`: its package on the registry comes without that suite.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { OpenAI, mockURL } from './sdk.mjs';

const client = new OpenAI({ apiKey: 'My API Key', baseURL: mockURL, maxRetries: 0 });
const completions = client.chat.completions;

const asked = { messages: [{ content: 'string', role: 'developer' }], model: 'gpt-5.4' };

const allParameters = {
  messages: [{ content: 'string', role: 'developer', name: 'name' }],
  model: 'gpt-5.4',
  audio: { format: 'wav', voice: 'alloy' },
  frequency_penalty: -2,
  function_call: 'none',
  functions: [{ name: 'name', description: 'description', parameters: { foo: 'bar' } }],
  logit_bias: { foo: 0 },
  logprobs: true,
  max_completion_tokens: 0,
  max_tokens: 0,
  metadata: { foo: 'string' },
  modalities: ['text'],
  moderation: { model: 'model', policy: { input: { mode: 'score' }, output: { mode: 'score' } } },
  n: 1,
  parallel_tool_calls: true,
  prediction: { content: 'string', type: 'content' },
  presence_penalty: -2,
  prompt_cache_key: 'prompt-cache-key-1234',
  prompt_cache_options: { mode: 'implicit', ttl: '30m' },
  prompt_cache_retention: 'in_memory',
  reasoning_effort: 'none',
  response_format: { type: 'text' },
  safety_identifier: 'safety-identifier-1234',
  seed: -9007199254740991,
  service_tier: 'auto',
  stop: '\n',
  store: true,
  stream_options: { include_obfuscation: true, include_usage: true },
  temperature: 1,
  tool_choice: 'none',
  tools: [
    {
      function: { name: 'name', description: 'description', parameters: { foo: 'bar' }, strict: true },
      type: 'function',
    },
  ],
  top_logprobs: 0,
  top_p: 1,
  user: 'user-1234',
  verbosity: 'low',
  web_search_options: {
    search_context_size: 'low',
    user_location: {
      approximate: { city: 'city', country: 'country', region: 'region', timezone: 'timezone' },
      type: 'approximate',
    },
  },
};

// A call can be had as the answer, as the HTTP response, and as both: each time the same objects.
async function givesOneAnswer(call) {
  const raw = await call.asResponse();
  assert.ok(raw instanceof Response);
  const answer = await call;
  assert.ok(!(answer instanceof Response));
  const both = await call.withResponse();
  assert.equal(both.data, answer);
  assert.equal(both.response, raw);
  return answer;
}

// Options of the request come through: a path that does not exist gives the error of the answer.
async function isNotFound(call) {
  await assert.rejects(call, OpenAI.NotFoundError);
}

function isCompletion(completion) {
  assert.equal(completion.object, 'chat.completion');
  assert.equal(completion.choices[0].message.role, 'assistant');
  assert.equal(typeof completion.choices[0].message.content, 'string');
}

describe('completions', () => {
  test('create: only required params', async () => {
    isCompletion(await givesOneAnswer(completions.create(asked)));
  });

  test('create: required and optional params', async () => {
    isCompletion(await completions.create({ ...allParameters, stream: false }));
  });

  test('create: required and optional params, streamed', async () => {
    let text = '';
    for await (const chunk of await completions.create({ ...allParameters, stream: true })) {
      assert.equal(chunk.object, 'chat.completion.chunk');
      text += chunk.choices[0]?.delta.content ?? '';
    }
    assert.equal(text, 'string');
  });

  test('retrieve', async () => {
    const completion = await givesOneAnswer(completions.retrieve('completion_id'));
    isCompletion(completion);
    assert.equal(completion.id, 'completion_id');
  });

  test('update', async () => {
    const completion = await givesOneAnswer(
      completions.update('completion_id', { metadata: { foo: 'string' } }),
    );
    isCompletion(completion);
    assert.deepEqual(completion.metadata, { foo: 'string' });
  });

  test('list', async () => {
    const page = await givesOneAnswer(completions.list());
    page.data.forEach(isCompletion);
  });

  test('list: all params', async () => {
    const page = await completions.list({
      after: 'after',
      limit: 0,
      metadata: { foo: 'string' },
      model: 'model',
      order: 'asc',
    });
    assert.equal(page.data[0].model, 'model');
    assert.deepEqual(page.data[0].metadata, { foo: 'string' });
  });

  test('list: walks over the pages', async () => {
    const ids = [];
    for await (const completion of completions.list({ limit: 1 })) ids.push(completion.id);
    assert.equal(ids.length, 3);
    assert.equal(new Set(ids).size, 3);
  });

  test('list: request options', async () => {
    await isNotFound(completions.list({ limit: 0 }, { path: '/_unknown_path' }));
  });

  test('delete', async () => {
    const deleted = await givesOneAnswer(completions.delete('completion_id'));
    assert.deepEqual({ ...deleted }, {
      id: 'completion_id',
      object: 'chat.completion.deleted',
      deleted: true,
    });
  });
});

describe('messages', () => {
  test('list', async () => {
    const page = await givesOneAnswer(completions.messages.list('completion_id'));
    for (const message of page.data) assert.equal(typeof message.id, 'string');
  });

  test('list: all params', async () => {
    const page = await completions.messages.list('completion_id', { after: 'after', limit: 0, order: 'asc' });
    assert.equal(page.data.length, 2);
  });

  test('list: request options', async () => {
    await isNotFound(completions.messages.list('completion_id', { limit: 0 }, { path: '/_unknown_path' }));
  });
});

describe('models', () => {
  test('list', async () => {
    const page = await givesOneAnswer(client.models.list());
    assert.deepEqual(page.data.map((model) => model.id), ['echo']);
  });

  test('retrieve', async () => {
    const model = await givesOneAnswer(client.models.retrieve('echo'));
    assert.equal(model.object, 'model');
  });
});
