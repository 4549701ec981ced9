// The helpers of openai-node, .stream(), .parse() and .runTools(), on the scenes of tests/support/scenes.py.
// A scene is played once, so each test has its own.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { OpenAI, scenesURL, z, zodFunction, zodResponseFormat } from './sdk.mjs';

const client = new OpenAI({ apiKey: 'key', baseURL: scenesURL, maxRetries: 0 });
const completions = client.chat.completions;

const City = z.object({ city: z.string(), degrees: z.number() });
const City_ = zodResponseFormat(City, 'city');
const ROME = { city: 'Rome', degrees: 31 };

function ask(scene, more = {}) {
  return { model: scene, messages: [{ role: 'user', content: 'Weather in Rome?' }], ...more };
}

const weather = (seen = []) =>
  zodFunction({
    name: 'weather',
    parameters: z.object({ city: z.string() }),
    function: ({ city }) => {
      seen.push(city);
      return { degrees: 31 };
    },
  });

const time = () =>
  zodFunction({
    name: 'time',
    parameters: z.object({ zone: z.string() }),
    function: () => ({ hour: 12 }),
  });

// All events of a kind, as they come.
function listen(stream, ...names) {
  const heard = Object.fromEntries(names.map((name) => [name, []]));
  for (const name of names) stream.on(name, (event) => heard[name].push(structuredClone(event)));
  return heard;
}

describe('stream', () => {
  test('text in pieces, and the whole at the end', async () => {
    const stream = completions.stream(ask('text'));
    const heard = listen(stream, 'content.delta', 'content.done');
    const completion = await stream.finalChatCompletion();
    const pieces = heard['content.delta'].map((event) => event.delta);
    assert.deepEqual(pieces, ['Hello, ', 'dear ', 'wörld ', '😀']);
    assert.equal(heard['content.delta'].at(-1).snapshot, 'Hello, dear wörld 😀');
    assert.deepEqual(heard['content.done'].map((event) => event.content), ['Hello, dear wörld 😀']);
    assert.equal(completion.choices[0].message.content, 'Hello, dear wörld 😀');
    assert.equal(completion.choices[0].finish_reason, 'stop');
  });

  test('usage', async () => {
    const stream = completions.stream(ask('usage', { stream_options: { include_usage: true } }));
    const usage = await stream.totalUsage();
    assert.deepEqual([usage.prompt_tokens, usage.completion_tokens, usage.total_tokens], [7, 3, 10]);
    const { usage: whole } = await stream.finalChatCompletion();
    assert.equal(whole.prompt_tokens_details.cached_tokens, 2);
  });

  test('choices', async () => {
    const completion = await completions.stream(ask('choices', { n: 2 })).finalChatCompletion();
    const told = completion.choices.map((choice) => [choice.message.content, choice.finish_reason]);
    assert.deepEqual(told, [['one', 'stop'], ['two', 'stop']]);
  });

  test('log probabilities', async () => {
    const stream = completions.stream(ask('logprobs', { logprobs: true, top_logprobs: 1 }));
    const heard = listen(stream, 'logprobs.content.delta', 'logprobs.content.done');
    await stream.done();
    assert.deepEqual(heard['logprobs.content.delta'].map((event) => event.content[0].token), ['Hel', 'lo']);
    assert.equal(heard['logprobs.content.done'][0].content[1].top_logprobs[0].logprob, -0.5);
  });

  test('a refusal', async () => {
    const stream = completions.stream(ask('refusal', { logprobs: true }));
    const heard = listen(stream, 'refusal.delta', 'refusal.done', 'content.delta');
    const { message } = (await stream.finalChatCompletion()).choices[0];
    assert.equal(heard['refusal.delta'].at(-1).snapshot, 'I cannot.');
    assert.deepEqual(heard['refusal.done'].map((event) => event.refusal), ['I cannot.']);
    assert.deepEqual(heard['content.delta'], []);
    assert.deepEqual([message.refusal, message.content], ['I cannot.', null]);
  });

  test('reasoning, which it has no events for, in the chunks', async () => {
    let thoughts = '';
    const stream = completions.stream(ask('reasoning'));
    for await (const chunk of stream) thoughts += chunk.choices[0]?.delta.reasoning_content ?? '';
    assert.equal(thoughts, 'Hm. Yes.');
    assert.equal(await stream.finalContent(), '42');
  });

  test('an answer of a schema', async () => {
    const stream = completions.stream(ask('structure', { response_format: City_ }));
    const heard = listen(stream, 'content.delta', 'content.done');
    const completion = await stream.finalChatCompletion();
    assert.ok(heard['content.delta'].length > 3);
    assert.ok(heard['content.delta'].some((event) => event.parsed?.city === 'Rome' && !event.parsed.degrees));
    assert.deepEqual(heard['content.done'][0].parsed, ROME);
    assert.deepEqual(completion.choices[0].message.parsed, ROME);
  });

  test('tool calls', async () => {
    const stream = completions.stream(ask('calls', { tools: [weather(), time()] }));
    const heard = listen(
      stream,
      'tool_calls.function.arguments.delta',
      'tool_calls.function.arguments.done',
    );
    const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0];
    assert.ok(heard['tool_calls.function.arguments.delta'].length > 4);
    const done = heard['tool_calls.function.arguments.done'];
    assert.deepEqual(
      done.map((event) => [event.index, event.name, event.parsed_arguments]),
      [[0, 'weather', { city: 'Rome' }], [1, 'time', { zone: 'CET' }]],
    );
    assert.deepEqual(message.tool_calls.map((call) => call.id), ['call_weather', 'call_time']);
    assert.deepEqual([message.content, finish_reason], ['Let me see. ', 'tool_calls']);
  });

  test('an error before the first chunk', async () => {
    await assert.rejects(completions.stream(ask('error')).done(), (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError);
      assert.match(error.message, /no more/);
      return error.status === 429;
    });
  });

  test('an error in the middle', async () => {
    const stream = completions.stream(ask('error-later'));
    const heard = listen(stream, 'content.delta');
    await assert.rejects(stream.done(), (error) => {
      assert.ok(error instanceof OpenAI.APIError);
      return /broken/.test(error.message);
    });
    assert.equal(heard['content.delta'].at(-1).snapshot, 'Hel');
  });

  test('leaving in the middle', async () => {
    const stream = completions.stream(ask('pause'));
    stream.on('content.delta', () => stream.abort());
    await assert.rejects(stream.done(), OpenAI.APIUserAbortError);
  });
});

describe('parse', () => {
  test('an answer cut by the limit', async () => {
    const cut = completions.parse(ask('structure-cut', { response_format: City_ }));
    await assert.rejects(cut, OpenAI.LengthFinishReasonError);
  });

  test('an answer cut by a filter', async () => {
    const cut = completions.parse(ask('structure-filtered', { response_format: City_ }));
    await assert.rejects(cut, OpenAI.ContentFilterFinishReasonError);
  });

  test('a custom tool', async () => {
    const tools = [{ type: 'custom', custom: { name: 'sql' } }];
    const { message } = (await completions.create(ask('custom', { tools }))).choices[0];
    assert.deepEqual(message.tool_calls, [
      { id: 'call_sql', type: 'custom', custom: { name: 'sql', input: 'SELECT 1;' } },
    ]);
  });

  test('a request that is tried again', async () => {
    const completion = await completions.create(ask('retry'), { maxRetries: 1 });
    assert.equal(completion.choices[0].message.content, 'Hello.');
  });
});

describe('runTools', () => {
  test('two calls, then the answer', async () => {
    const seen = [];
    const runner = completions.runTools(ask('tools', { tools: [weather(seen), time()] }));
    assert.equal(await runner.finalContent(), '31 degrees at 12.');
    assert.deepEqual(seen, ['Rome']);
    assert.deepEqual(
      runner.messages.map((message) => message.role),
      ['user', 'assistant', 'tool', 'tool', 'assistant'],
    );
  });

  test('the same, streamed', async () => {
    const runner = completions.runTools(ask('tools-streamed', { tools: [weather(), time()], stream: true }));
    const heard = listen(runner, 'content.delta', 'tool_calls.function.arguments.done');
    assert.equal(await runner.finalContent(), '31 degrees at 12.');
    assert.equal(heard['content.delta'].at(-1).snapshot, '31 degrees at 12.');
    assert.equal(heard['tool_calls.function.arguments.done'].length, 2);
    assert.equal(runner.allChatCompletions().length, 2);
  });

  test('arguments that are no JSON at first', async () => {
    // Only a tool with a parser of its own has its parser's error told to the model.
    const seen = [];
    const parameters = { type: 'object', properties: { city: { type: 'string' } } };
    const act = ({ city }) => {
      seen.push(city);
      return JSON.stringify({ degrees: 31 });
    };
    const tool = {
      type: 'function',
      function: { name: 'weather', description: 'The weather', parameters, parse: JSON.parse, function: act },
    };
    const runner = completions.runTools(ask('tools-bad-arguments', { tools: [tool] }));
    assert.equal(await runner.finalContent(), '31 degrees.');
    assert.deepEqual(seen, ['Rome']);
    const calls = runner.allChatCompletions().flatMap((each) => each.choices[0].message.tool_calls ?? []);
    assert.deepEqual(calls.map((call) => call.id), ['call_bad', 'call_again']);
  });
});
