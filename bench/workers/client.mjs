// As client.py, with openai-node.
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';

const job = JSON.parse(readFileSync(0, 'utf8'));
const client = new OpenAI({ baseURL: job.url, apiKey: 'none', maxRetries: 0 });
const messages = [{ role: 'user', content: 'hello' }];
const spent = () => { const usage = process.cpuUsage(); return usage.user + usage.system; };
const resident = () => process.memoryUsage.rss() / 1024;

const firsts = [];
let open = 0;
async function read(model, counted) {
  const begun = performance.now();
  let number = 0;
  for await (const _ of await client.chat.completions.create({ messages, ...job.asked, model, stream: true })) {
    if (number++ === 0 && counted && firsts.push(performance.now() - begun) === job.streams) open = resident();
  }
  if (counted && number < job.least) throw new Error(`a stream of ${job.least} chunks gave ${number}`);
}

await read('content-2-0', false);
const before = resident(), cpu = spent(), begun = performance.now();
await Promise.all(Array.from({ length: job.streams }, async (_, at) => {
  if (job.over) await new Promise((resolve) => setTimeout(resolve, (1000 * job.over * at) / job.streams));
  await read(job.asked.model, true);
}));
firsts.sort((a, b) => a - b);
console.log(JSON.stringify({
  CPU: (spent() - cpu) / job.units,
  'first chunk': firsts[firsts.length >> 1],
  memory: Math.max(0, open - before) / job.streams,
  time: (performance.now() - begun) / 1000,
}));
