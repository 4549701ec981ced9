// What the tests use of the official package, from the folder that it is installed in.

import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(process.env.INTEROP_NODE, 'package.json'));

export const OpenAI = require('openai').default;
export const { zodFunction, zodResponseFormat } = require('openai/helpers/zod');
export const { z } = require('zod');

// Where each kind of server listens.
export const mockURL = process.env.TEST_API_BASE_URL;
export const scenesURL = process.env.INTEROP_SCENES_URL;
