// What the conformance suite expects a server to offer: every tool, prompt and resource that one of its scenarios names.
// The suite's own descriptions say what each is to do (`npx conformance list --server`, and the package's sources).
//
// One definition serves both eras of the protocol. A tool that needs something of its client returns what it needs
// (`inputRequired`): for 2026-07-28 that goes over the wire as it is, and for the revisions before the SDK asks the
// client on the spot and calls the tool again with the answers.

import { setTimeout as delay } from 'node:timers/promises';
import {
  McpServer,
  CLIENT_CAPABILITIES_META_KEY,
  ResourceTemplate,
  acceptedContent,
  completable,
  createRequestStateCodec,
  fromJsonSchema,
  inputRequired,
} from '@modelcontextprotocol/server';
import { z } from 'zod';

// One red pixel, and 20 ms of silence.
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const WAV = silence(160);
const STEP_MS = 50;
const state = createRequestStateCodec({ key: crypto.getRandomValues(new Uint8Array(32)), ttlSeconds: 600 });

const text = (value) => ({ type: 'text', text: value });
const says = (value) => ({ content: [text(value)] });
const image = () => ({ type: 'image', data: PNG, mimeType: 'image/png' });
const user = (content) => ({ role: 'user', content });
const nothing = z.object({});

/**
 * A server for one session, or for one request of an era without sessions.
 * `changed` tells everybody who listens that a list is another one: {tools(), prompts()}.
 */
export function everything(changed) {
  const server = new McpServer(
    { name: 'doorward-everything', version: '1.0.0', title: 'Everything the conformance suite asks for' },
    {
      capabilities: {
        logging: {},
        completions: {},
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
      },
      instructions: 'A server of tests.',
      requestState: { verify: state.verify },
    },
  );
  offerContents(server);
  offerActions(server, changed);
  offerQuestions(server);
  offerSchemas(server);
  offerResources(server);
  offerPrompts(server);
  return server;
}

function offerContents(server) {
  const tool = (name, description, content) =>
    server.registerTool(name, { description, inputSchema: nothing, annotations: { readOnlyHint: true } }, () => ({ content }));
  tool('test_simple_text', 'Answers with text', [text('This is a simple text response for testing.')]);
  tool('test_image_content', 'Answers with a picture', [image()]);
  tool('test_audio_content', 'Answers with sound', [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }]);
  tool('test_embedded_resource', 'Answers with a resource', [
    { type: 'resource', resource: { uri: 'test://embedded-resource', mimeType: 'text/plain', text: 'This is an embedded resource content.' } },
  ]);
  tool('test_multiple_content_types', 'Answers with several kinds of content', [
    text('Multiple content types test:'),
    image(),
    {
      type: 'resource',
      resource: {
        uri: 'test://mixed-content-resource',
        mimeType: 'application/json',
        text: JSON.stringify({ test: 'data', value: 123 }),
      },
    },
  ]);
}

function offerActions(server, changed) {
  const tool = (name, description, run) => server.registerTool(name, { description, inputSchema: nothing }, (_, context) => run(context));
  tool('test_error_handling', 'Fails', () => {
    throw new Error('This tool intentionally returns an error for testing');
  });
  tool('test_tool_with_logging', 'Logs while it works', async ({ mcpReq }) => {
    for (const line of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await mcpReq.log('info', line);
      await delay(STEP_MS);
    }
    return says('Tool with logging executed successfully');
  });
  tool('test_logging_tool', 'Logs once', async ({ mcpReq }) => {
    await mcpReq.log('info', 'One line');
    return says('Logged.');
  });
  tool('test_tool_with_progress', 'Tells how far it is', async ({ mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined) {
        const params = { progressToken, progress, total: 100, message: `Completed step ${progress} of 100` };
        await mcpReq.notify({ method: 'notifications/progress', params });
      }
      await delay(STEP_MS);
    }
    return says(String(progressToken));
  });
  tool('test_reconnection', 'Closes its stream before it has answered', async ({ http }) => {
    http?.closeSSE?.();
    await delay(2 * STEP_MS);
    return says('Reconnection test completed successfully.');
  });
  tool('test_slow', 'Works until it is cancelled, at most 30 s', async ({ mcpReq }) => {
    await delay(30_000, undefined, { signal: mcpReq.signal });
    return says('Nobody cancelled.');
  });
  tool('test_trigger_tool_change', 'Says that the list of tools is another one', () => {
    changed.tools();
    return says('Said.');
  });
  tool('test_trigger_prompt_change', 'Says that the list of prompts is another one', () => {
    changed.prompts();
    return says('Said.');
  });
}

const asksName = (message, field) => ({
  message,
  requestedSchema: { type: 'object', properties: { [field]: { type: 'string' } }, required: [field] },
});
const asksCapital = () => inputRequired.createMessage({ messages: [user(text('What is the capital of France?'))], maxTokens: 100 });

function offerQuestions(server) {
  const tool = (name, description, run, inputSchema = nothing) =>
    server.registerTool(name, { description, inputSchema }, async (given, { mcpReq }) => run(mcpReq, given));
  offerQuestionsOfBothEras(tool);

  tool('test_input_required_result_elicitation', 'Asks for a name', ({ inputResponses }) => {
    const answer = acceptedContent(inputResponses, 'user_name', z.object({ name: z.string() }));
    if (answer) return says(`Hello, ${answer.name}!`);
    return inputRequired({ inputRequests: { user_name: inputRequired.elicit(asksName('What is your name?', 'name')) } });
  });
  tool('test_input_required_result_sampling', 'Asks the model', ({ inputResponses }) => {
    const answer = inputResponses?.capital_question;
    if (answer) return says(spoken(answer));
    return inputRequired({ inputRequests: { capital_question: asksCapital() } });
  });
  tool('test_input_required_result_list_roots', 'Asks for the roots', ({ inputResponses }) => {
    const roots = inputResponses?.client_roots?.roots;
    if (roots) return says(`Roots: ${roots.map(({ uri }) => uri).join(', ')}`);
    return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
  });
  const confirms = async (mcpReq) => {
    if (mcpReq.requestState() && mcpReq.inputResponses?.confirm) return says('state-ok');
    const requestedSchema = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] };
    return inputRequired({
      inputRequests: { confirm: inputRequired.elicit({ message: 'Please confirm', requestedSchema }) },
      requestState: await state.mint({ step: 'confirm' }),
    });
  };
  tool('test_input_required_result_request_state', 'Remembers between two rounds', confirms);
  tool('test_input_required_result_tampered_state', 'Notices what was changed between two rounds', confirms);
  tool('test_input_required_result_multiple_inputs', 'Asks three things at once', async (mcpReq) => {
    const { user_name: name, greeting, client_roots: roots } = mcpReq.inputResponses ?? {};
    if (name && greeting && roots) return says(`${name.content?.name}: ${spoken(greeting)}, ${roots.roots?.length} roots`);
    return inputRequired({
      inputRequests: {
        user_name: inputRequired.elicit(asksName('What is your name?', 'name')),
        greeting: inputRequired.createMessage({ messages: [user(text('Generate a greeting'))], maxTokens: 50 }),
        client_roots: inputRequired.listRoots(),
      },
      requestState: await state.mint({ step: 'all' }),
    });
  });
  tool('test_input_required_result_multi_round', 'Asks twice', async (mcpReq) => {
    const { step, name } = mcpReq.requestState() ?? {};
    const first = acceptedContent(mcpReq.inputResponses, 'step1', z.object({ name: z.string() }));
    const second = acceptedContent(mcpReq.inputResponses, 'step2', z.object({ color: z.string() }));
    if (step === 2 && second) return says(`${name} likes ${second.color}.`);
    if (step === 1 && first) {
      const step2 = inputRequired.elicit(asksName('Step 2: What is your favorite color?', 'color'));
      return inputRequired({ inputRequests: { step2 }, requestState: await state.mint({ step: 2, name: first.name }) });
    }
    const step1 = inputRequired.elicit(asksName('Step 1: What is your name?', 'name'));
    return inputRequired({ inputRequests: { step1 }, requestState: await state.mint({ step: 1 }) });
  });
  tool('test_input_required_result_capabilities', 'Asks only for what its client can give', (mcpReq) => {
    if (mcpReq.inputResponses) return says('Answered.');
    const can = mcpReq.envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? {};
    const inputRequests = {};
    if (can.sampling) inputRequests.capital_question = asksCapital();
    if (can.elicitation) inputRequests.user_name = inputRequired.elicit(asksName('What is your name?', 'name'));
    return Object.keys(inputRequests).length > 0 ? inputRequired({ inputRequests }) : says('Nothing can be asked.');
  });
}

function offerQuestionsOfBothEras(tool) {
  const elicits = (name, description, message, properties, sayResult) =>
    tool(name, description, ({ inputResponses }, given) => {
      const answer = inputResponses?.answer;
      if (answer) return says(sayResult(answer));
      const required = Object.keys(properties).filter((key) => properties[key].description !== undefined);
      const requestedSchema = { type: 'object', properties, ...(required.length > 0 && { required }) };
      return inputRequired({ inputRequests: { answer: inputRequired.elicit({ message: given.message ?? message, requestedSchema }) } });
    }, z.object({ message: z.string().optional() }));
  const completed = ({ action, content }) => `Elicitation completed: action=${action}, content=${JSON.stringify(content ?? {})}`;

  tool('test_sampling', 'Asks the model of its client', ({ inputResponses }, { prompt }) => {
    if (inputResponses?.reply) return says(`LLM response: ${spoken(inputResponses.reply)}`);
    const reply = inputRequired.createMessage({ messages: [user(text(prompt))], maxTokens: 100 });
    return inputRequired({ inputRequests: { reply } });
  }, z.object({ prompt: z.string() }));
  elicits('test_elicitation', 'Asks the person', 'Who are you?', {
    username: { type: 'string', description: "User's response" },
    email: { type: 'string', description: "User's email address" },
  }, ({ action, content }) => `User response: action=${action}, content=${JSON.stringify(content ?? {})}`);
  elicits('test_elicitation_sep1034_defaults', 'Asks with defaults', 'Please review', {
    name: { type: 'string', default: 'John Doe' },
    age: { type: 'integer', default: 30 },
    score: { type: 'number', default: 95.5 },
    status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
    verified: { type: 'boolean', default: true },
  }, completed);
  const named = (titles, key = 'value') => titles.map((title, index) => ({ const: `${key}${index + 1}`, title }));
  const options = ['option1', 'option2', 'option3'];
  elicits('test_elicitation_sep1330_enums', 'Asks with choices of every kind', 'Please choose', {
    untitledSingle: { type: 'string', enum: options },
    titledSingle: { type: 'string', oneOf: named(['First Option', 'Second Option', 'Third Option']) },
    legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
    untitledMulti: { type: 'array', items: { type: 'string', enum: options } },
    titledMulti: { type: 'array', items: { anyOf: named(['First Choice', 'Second Choice', 'Third Choice']) } },
  }, completed);
  tool('test_streaming_elicitation', 'Tells progress, then asks', async (mcpReq) => {
    if (mcpReq.inputResponses?.user_name) return says('Thank you.');
    const progressToken = mcpReq._meta?.progressToken;
    if (progressToken !== undefined) {
      await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: 1, total: 2 } });
    }
    return inputRequired({ inputRequests: { user_name: inputRequired.elicit(asksName('What is your name?', 'name')) } });
  });
  tool('test_missing_capability', 'Cannot do without a model', ({ inputResponses }) => {
    if (inputResponses?.capital_question) return says(spoken(inputResponses.capital_question));
    return inputRequired({ inputRequests: { capital_question: asksCapital() } });
  });
}

function offerSchemas(server) {
  const property = (type, more) => ({ type, ...more });
  const inputSchema = fromJsonSchema({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    $defs: {
      address: { $anchor: 'addressDef', type: 'object', properties: { street: property('string'), city: property('string') } },
    },
    properties: {
      name: property('string'),
      address: { $ref: '#/$defs/address' },
      contactMethod: property('string', { enum: ['phone', 'email'] }),
      phone: property('string'),
      email: property('string'),
    },
    allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
    if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
    then: { required: ['phone'] },
    else: { required: ['email'] },
    additionalProperties: false,
  });
  server.registerTool('json_schema_2020_12_tool', { description: 'Has an input schema of many words', inputSchema }, (given) =>
    says(JSON.stringify(given)));
  const routed = fromJsonSchema({
    type: 'object',
    properties: { region: property('string', { 'x-mcp-header': 'Region' }), query: property('string') },
    required: ['region'],
  });
  server.registerTool('test_custom_header', { description: 'Has an argument that is a header too', inputSchema: routed }, (given) =>
    says(JSON.stringify(given)));
}

function offerResources(server) {
  const watched = new Set();
  const resource = (name, uri, mimeType, description, content) =>
    server.registerResource(name, uri, { mimeType, description }, () => ({ contents: [{ uri, mimeType, ...content }] }));
  resource('static-text', 'test://static-text', 'text/plain', 'Text that stays', {
    text: 'This is the content of the static text resource.',
  });
  resource('static-binary', 'test://static-binary', 'image/png', 'A picture that stays', { blob: PNG });
  resource('watched-resource', 'test://watched-resource', 'text/plain', 'Text to watch', { text: 'Watched resource content' });
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined });
  const described = { mimeType: 'application/json', description: 'What belongs to an id' };
  server.registerResource('template', template, described, (uri, { id }) => {
    const found = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
    return { contents: [{ uri: uri.href, mimeType: described.mimeType, text: found }] };
  });
  server.server.setRequestHandler('resources/subscribe', ({ params }) => {
    watched.add(params.uri);
    return {};
  });
  server.server.setRequestHandler('resources/unsubscribe', ({ params }) => {
    watched.delete(params.uri);
    return {};
  });
}

function offerPrompts(server) {
  const prompt = (name, description, argsSchema, run) => server.registerPrompt(name, { description, argsSchema }, run);
  const begins = (...words) => (value) => words.filter((word) => word.startsWith(value));
  prompt('test_simple_prompt', 'Has no arguments', undefined, () => ({ messages: [user(text('This is a simple prompt for testing.'))] }));
  prompt('test_prompt_with_arguments', 'Has two arguments', z.object({
    arg1: completable(z.string().describe('First test argument'), begins('paris', 'park', 'party')),
    arg2: z.string().describe('Second test argument'),
  }), ({ arg1, arg2 }) => ({ messages: [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))] }));
  prompt('test_prompt_with_embedded_resource', 'Has a resource in it', z.object({
    resourceUri: z.string().describe('URI of the resource to embed'),
  }), ({ resourceUri: uri }) => ({
    messages: [
      user({ type: 'resource', resource: { uri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' } }),
      user(text('Please process the embedded resource above.')),
    ],
  }));
  prompt('test_prompt_with_image', 'Has a picture in it', undefined, () => ({
    messages: [user(image()), user(text('Please analyze the image above.'))],
  }));
  prompt('test_input_required_result_prompt', 'Asks before it is there', undefined, ({ mcpReq }) => {
    const answer = acceptedContent(mcpReq.inputResponses, 'user_context', z.object({ context: z.string() }));
    if (answer) return { messages: [user(text(`In the context of ${answer.context}`))] };
    const asked = inputRequired.elicit(asksName('What context should the prompt use?', 'context'));
    return inputRequired({ inputRequests: { user_context: asked } });
  });
}

/** What a model said, whichever way it was put. */
function spoken({ content }) {
  return [content].flat().map((part) => part?.text ?? '').join('');
}

/** A WAV file of so many samples of 8 bits at 8 kHz, in base64. */
function silence(samples) {
  const file = Buffer.alloc(44 + samples, 0x80);
  file.write('RIFF', 0);
  file.writeUInt32LE(36 + samples, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(8000, 24);
  file.writeUInt32LE(8000, 28);
  file.writeUInt16LE(1, 32);
  file.writeUInt16LE(8, 34);
  file.write('data', 36);
  file.writeUInt32LE(samples, 40);
  return file.toString('base64');
}
