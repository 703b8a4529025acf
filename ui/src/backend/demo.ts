// The program's side, played with plain data, so that the same pages run in any browser.
//
//   ?demo=SCENE            which data (demo-data.ts); `one` where it is left out
//   &fail=COMMAND:CODE     that command is refused with that code
//   &consent=wait|decline  nobody answers the consent page; the person declines. Otherwise it is answered by itself
//
// `doorwardDemo` in the page's global scope lets a test change the data as the program would.

import { asProblem, type Backend } from './backend.ts';
import type {
  AgentView,
  Always,
  ConnectAsk,
  ConnectionView,
  ConsentStarted,
  Goto,
  GrantView,
  Lifetime,
  Problem,
  RequestView,
  Snapshot,
  Terms,
} from './bindings.ts';
import { activity, activityPage } from './demo-activity.ts';
import { agent, connection, counted, grant, question, request, SCENES } from './demo-data.ts';

interface Consent {
  started: ConsentStarted;
  ask: ConnectAsk;
  settle: (outcome: ConnectionView | Problem) => void;
  outcome: Promise<ConnectionView | Problem>;
}

export interface Demo {
  change(changed: (before: Snapshot, makers: typeof MAKERS) => Partial<Snapshot>): void;
  goto(target: Goto): void;
  /** What was called, in order. */
  calls: { command: string; argument: unknown }[];
}

const MAKERS = { agent, connection, grant, question, request };

const REFUSED: Record<string, [message: string, hint: string]> = {
  provider_unavailable: ['Fast.io does not answer.', 'Try again in a while; nothing was changed.'],
  provider_unsafe: [
    "The provider's description of itself cannot be trusted: it names an address that is not https.",
    'Ask the provider to mend it.',
  ],
  consent_declined: ['You declined at Fast.io.', 'Nothing was changed. Connect again if that was a mistake.'],
  consent_expired: ['Nobody answered for 10 minutes.', 'Connect again and answer in the browser.'],
  consent_mismatch: ['That address belongs to another consent.', 'Copy the whole address from the browser once more.'],
  account_differs: ['That is another account than before: robin@example.com.', 'Connect it under another name.'],
  name_taken: ['There is a connection `fastio` already.', 'Choose another name.'],
  rights_invalid: ['One agent cannot have connections of several tenants.', 'Approve it for one of them.'],
  request_unknown: ['That approval request is over.', 'Let the agent ask again.'],
  passphrase_wrong: ['That passphrase is wrong.', 'Try again.'],
  store_failed: ['Doorward cannot write its store: the disk is full.', 'Make room on the disk, then try again.'],
  store_locked: ['The OS keyring is still locked.', 'Unlock it, then try again.'],
  agent_unknown: ['There is no such agent.', 'It may have been revoked a moment ago.'],
};

export function openDemo(query: URLSearchParams): Backend {
  const log = activity(Date.now(), query.get('demo') ?? 'one');
  const scene = SCENES[query.get('demo') ?? 'one'] ?? SCENES['one']!;
  let state = scene(Date.now());
  const failures = new Map(query.getAll('fail').map((word) => word.split(':', 2) as [string, string]));
  const changedListeners = new Set<(snapshot: Snapshot) => void>();
  const gotoListeners = new Set<(target: Goto) => void>();
  const consents = new Map<string, Consent>();
  const calls: Demo['calls'] = [];

  const now = () => Date.now();

  function known(): Snapshot {
    if ('code' in state) throw state;
    return state;
  }

  function put(parts: Partial<Snapshot>): void {
    state = counted({ ...known(), ...parts });
    for (const heard of changedListeners) heard(state);
  }

  /** A command: it takes a moment, is written down, and fails where the scene says so. */
  async function command<T>(name: string, argument: unknown, act: () => T | Promise<T>): Promise<T> {
    calls.push({ command: name, argument });
    await new Promise((resolve) => setTimeout(resolve, 40));
    const code = failures.get(name);
    if (code !== undefined) {
      const [message, hint] = REFUSED[code] ?? ['Doorward failed.', 'Try again.'];
      throw { code, message, hint } satisfies Problem;
    }
    return act();
  }

  function settled(consent: Consent): ConnectionView {
    const { started, ask } = consent;
    const before = known().connections.find(({ name }) => name === started.connection);
    const made = connection(now(), started.connection, {
      ...before,
      provider: ask.provider ?? before?.provider ?? 'fastio',
      provider_title: started.provider_title,
      tenant: ask.tenant ?? before?.tenant ?? 'personal',
      asked: started.scope,
      read_only: started.read_only,
      // Less than was asked, as a person may choose on the consent page.
      granted: [`workspace:4190267351234567890:${started.read_only ? 'r' : 'rw'}`, 'workspace:9081726354:r'],
      health: { state: 'connected' },
      connected_at: now(),
      access_expires_at: now() + 3_600_000,
    });
    put({ connections: [...known().connections.filter(({ name }) => name !== made.name), made] });
    return made;
  }

  function end(flow: string, code: string): void {
    const [message, hint] = REFUSED[code] ?? ['The consent is over.', 'Connect again.'];
    consents.get(flow)?.settle({ code, message, hint });
  }

  function started(flow: string): Consent {
    const consent = consents.get(flow);
    if (consent === undefined) {
      throw { code: 'consent_unknown', message: 'There is no such consent under way.', hint: 'Connect again.' } satisfies Problem;
    }
    return consent;
  }

  function waiting(code: string): RequestView {
    const found = known().requests.find((request) => request.code === code);
    if (found === undefined) {
      const [message, hint] = REFUSED['request_unknown']!;
      throw { code: 'request_unknown', message, hint } satisfies Problem;
    }
    return found;
  }

  /** A call is answered: it waits no longer, and what was said for good stands with the agent. */
  function answerCall(code: string, says: Always, always: boolean): string {
    const found = known().questions.find((question) => question.code === code);
    if (found === undefined) {
      const [message, hint] = REFUSED['request_unknown']!;
      throw { code: 'request_unknown', message, hint } satisfies Problem;
    }
    const what = found.what.split('?')[0]!;
    const answer = { id: `answer-${found.code.toLowerCase()}`, what, says, created_at: now() };
    const answered = (grant: GrantView) => ({ ...grant, answers: [...grant.answers, answer] });
    const agents = known().agents.map((agent) =>
      agent.name === found.agent ? { ...agent, grants: agent.grants.map(answered) } : agent,
    );
    put({ questions: known().questions.filter(({ id }) => id !== found.id), ...(always ? { agents } : {}) });
    return what;
  }

  function letIn(asked: RequestView, terms: Terms): string {
    const names = terms.connection === null ? [...new Set(asked.wanted.map((word) => word.split(':')[0]!))] : [terms.connection];
    const lifetimes: Record<string, Lifetime> = {
      hour: { until: now() + 3_600_000 },
      today: { until: now() + 8 * 3_600_000 },
      while_running: { while_running: asked.program?.id ?? { pid: 0, started: 0 } },
    };
    const grants = names.map((name) =>
      grant(name, {
        doors: terms.doors ?? (asked.wanted.some((word) => word.endsWith(':token')) ? ['proxy', 'token'] : ['proxy']),
        policy: terms.policy,
        lifetime: lifetimes[terms.lifetime ?? ''] ?? 'until_revoked',
      }),
    );
    const made: AgentView = agent(now(), asked.name, { grants, created_at: now(), last_used_at: null });
    put({
      agents: [...known().agents, made],
      requests: known().requests.filter(({ id }) => id !== asked.id),
    });
    return grants.flatMap(({ connection, doors }) => doors.map((door) => `${connection}:${door}`)).join(' ');
  }

  const demo: Demo = {
    change: (changed) => put(changed(known(), MAKERS)),
    goto: (target) => {
      for (const heard of gotoListeners) heard(target);
    },
    calls,
  };
  Object.assign(globalThis, { doorwardDemo: demo });

  return {
    snapshot: () => command('snapshot', null, known),

    connect: (ask) =>
      command('connect', ask, () => {
        const before = known().connections.find(({ name }) => name === ask.name);
        const offer = known().providers.find(({ name }) => name === (ask.provider ?? before?.provider));
        const flow = `flow-${consents.size + 1}`;
        let settle: Consent['settle'] = () => {};
        const outcome = new Promise<ConnectionView | Problem>((resolve) => (settle = resolve));
        const about: ConsentStarted = {
          flow,
          connection: ask.name ?? offer?.name ?? 'login.example.org',
          provider_title: offer?.title ?? before?.provider_title ?? 'login.example.org',
          scope: ask.scope ?? offer?.default_scope ?? '',
          read_only: ask.read_only,
          agent_name: ask.agent_name ?? 'Doorward',
          url: `${ask.base ?? 'https://api.fast.io'}/current/oauth/authorize/?client_id=demo`,
          expires_at: now() + 600_000,
        };
        consents.set(flow, { started: about, ask, settle, outcome });
        return about;
      }),
    openConsent: (flow) =>
      command('open_consent', flow, () => {
        const consent = started(flow);
        const answer = query.get('consent');
        if (answer === 'decline') setTimeout(() => end(flow, 'consent_declined'), 300);
        else if (answer !== 'wait') setTimeout(() => consents.has(flow) && consent.settle(settled(consent)), 900);
      }),
    awaitConsent: (flow) =>
      command('await_consent', flow, async () => {
        const outcome = await started(flow).outcome;
        if ('code' in outcome) throw outcome;
        return outcome;
      }),
    pasteConsent: (flow, address) =>
      command('paste_consent', { flow, address }, () => {
        if (!address.includes('code=')) throw asProblem({ code: 'consent_mismatch', message: REFUSED['consent_mismatch']![0], hint: REFUSED['consent_mismatch']![1] });
        const consent = started(flow);
        const made = settled(consent);
        consent.settle(made);
        return made;
      }),
    cancelConsent: (flow) =>
      command('cancel_consent', flow, () => {
        end(flow, 'consent_unknown');
        consents.delete(flow);
      }),
    disconnect: (name) =>
      command('disconnect', name, () => {
        const ended = known().connections.find((connection) => connection.name === name);
        put({
          connections: known().connections.filter((connection) => connection.name !== name),
          agents: known().agents.map((agent) => ({
            ...agent,
            grants: agent.grants.filter((grant) => grant.connection !== name),
          })),
        });
        return { name, handed_out_until: ended?.access_expires_at ?? null, confirmed: false };
      }),

    approve: (code, terms) => command('approve', { code, terms }, () => letIn(waiting(code), terms)),
    deny: (code) =>
      command('deny', code, () => {
        const denied = waiting(code);
        put({ requests: known().requests.filter(({ id }) => id !== denied.id) });
      }),
    allowCall: (code, always) => command('allow_call', { code, always }, () => answerCall(code, 'allow', always)),
    denyCall: (code, always) => command('deny_call', { code, always }, () => answerCall(code, 'deny', always)),
    takeBack: (id) =>
      command('take_back', id, () => {
        const answers = known().agents.flatMap(({ grants }) => grants.flatMap(({ answers }) => answers));
        const agents = known().agents.map((agent) => ({
          ...agent,
          grants: agent.grants.map((grant) => ({ ...grant, answers: grant.answers.filter((answer) => answer.id !== id) })),
        }));
        put({ agents });
        return answers.find((answer) => answer.id === id)?.what ?? '';
      }),
    // Not the program's whole grammar: enough to be refused by.
    checkLimits: (limits) =>
      command('check_limits', limits, () => {
        const calls = (typed: string[]) => typed.find((text) => !/^(tool \S|[A-Z,*-]+ \/)/.test(text));
        const wrong: [string, string | undefined, string][] = [
          ['paths', limits.paths.find((text) => !text.startsWith('/')), 'its path does not begin with a slash'],
          ['methods', limits.methods.find((text) => !/^[A-Z-]+$/.test(text)), 'methods stand in capitals, with commas between them'],
          ['tools', limits.tools.find((text) => text.includes('(') && !text.endsWith(')')), 'its bracket is not closed'],
          ['ask', calls(limits.ask), 'it needs a method, or `*`, and a path'],
          ['deny', calls(limits.deny), 'it needs a method, or `*`, and a path'],
        ];
        return wrong.flatMap(([field, text, why]) =>
          text === undefined ? [] : [{ field, message: `"${text}" is no pattern of calls: ${why}.` }],
        );
      }),
    revokeAgent: (id) =>
      command('revoke_agent', id, () => {
        const revoked = known().agents.find((agent) => agent.id === id);
        if (revoked === undefined) throw { code: 'agent_unknown', message: 'There is no such agent.', hint: '' } satisfies Problem;
        const handedOut = revoked.grants
          .filter(({ doors }) => doors.includes('token'))
          .map(({ connection }): [string, number | null] => [connection, now() + 42 * 60_000]);
        put({ agents: known().agents.filter((agent) => agent.id !== id) });
        return { name: revoked.name, handed_out: handedOut };
      }),
    retry: (name) =>
      command('retry', { name }, () => {
        const tried = known().connections.find((connection) => connection.name === name);
        if (tried === undefined) throw { code: 'connection_unknown', message: 'There is no such connection.', hint: '' } satisfies Problem;
        const health = { state: 'connected' } as const;
        const works = { ...tried, health };
        put({ connections: known().connections.map((connection) => (connection.name === name ? works : connection)) });
        return works;
      }),
    setPaused: (target, paused) =>
      command('set_paused', { target, paused }, () => {
        const { agents, connections } = known();
        if (target === 'all_agents') put({ agents: agents.map((agent) => ({ ...agent, paused })) });
        else if ('agent' in target) {
          put({ agents: agents.map((agent) => (agent.id === target.agent ? { ...agent, paused } : agent)) });
        } else {
          const health = { state: paused ? 'paused' : 'connected' } as const;
          put({
            connections: connections.map((connection) =>
              connection.name === target.connection ? { ...connection, health } : connection,
            ),
          });
        }
        return 1;
      }),

    activity: (ask) => command('activity', ask, () => activityPage(log, ask, known().agents)),
    releaseLock: (id) =>
      command('release_lock', id, () => {
        const { locks } = known().status;
        const lock = locks.find((held) => held.id === id);
        if (lock === undefined) throw { code: 'bad_request', message: 'No agent holds that lock.', hint: '' } satisfies Problem;
        const wanted = { ...lock, returning: 'you asked for it' };
        const others = () => known().status.locks.filter((held) => held.id !== id);
        put({ status: { ...known().status, locks: [...others(), wanted] } });
        setTimeout(() => put({ status: { ...known().status, locks: others() } }), 600);
        return wanted;
      }),

    unlock: (passphrase) =>
      command('unlock', passphrase === null ? null : 'a passphrase', () => {
        state = SCENES['one']!(now());
        put({});
      }),
    takeOver: () =>
      command('take_over', null, () => {
        state = SCENES['one']!(now());
        put({});
      }),
    quit: () => command('quit', null, () => {}),
    closeWindow: () => command('close_window', null, () => {}),

    onChanged: async (heard) => {
      changedListeners.add(heard);
      return () => changedListeners.delete(heard);
    },
    onGoto: async (heard) => {
      gotoListeners.add(heard);
      return () => gotoListeners.delete(heard);
    },
  };
}
