// What crosses between the window and the program. Made from the program's types by its tests: `make bindings` writes
// it, and a test fails when the two differ. Times are milliseconds since the epoch.

export type Name = string;

export type Timestamp = number;

export type Door = "token" | "proxy";

export type Policy = { 
/**
 * Only calls that change nothing.
 */
read_only: boolean, 
/**
 * Only paths below these prefixes.
 */
path_prefixes: Array<string>, 
/**
 * Only these HTTP methods, in capitals.
 */
methods: Array<string>, 
/**
 * Only these MCP tools, or only these calls of them.
 */
tools: Array<string>, 
/**
 * A person is asked for each new call.
 */
ask_each_time: boolean, 
/**
 * A person is asked for these calls.
 */
ask: Array<string>, 
/**
 * These calls are denied, whatever else allows them.
 */
deny: Array<string>, 
/**
 * Calls that mint or manage credentials are allowed too. That widens a grant; it is no limit.
 */
may_manage_sign_in: boolean, };

export type ProgramId = { 
/**
 * The process id.
 */
pid: number, 
/**
 * The kernel's start time of the process, in its own unit.
 */
started: number, };

export type Program = { 
/**
 * Which process.
 */
id: ProgramId, 
/**
 * The user it runs as.
 */
uid: number, 
/**
 * Its executable.
 */
executable: string, 
/**
 * The script it runs, where the executable is an interpreter.
 */
script: string | null, 
/**
 * Its working folder.
 */
folder: string, 
/**
 * The executable of its parent.
 */
parent: string | null, };

export type Lifetime = "until_revoked" | { "until": Timestamp } | { "while_running": ProgramId };

export type LifetimeAsk = "until_revoked" | "hour" | "today" | "while_running";

export type Health = { "state": "connected" } | { "state": "refreshing" } | { "state": "degraded", 
/**
 * What was seen last.
 */
last_error: string, 
/**
 * When the next try is made at the earliest.
 */
next_try: Timestamp, 
/**
 * Whether the tries have halted after a row of failures: the provider is only probed now and then.
 */
halted: boolean, } | { "state": "rate_limited", 
/**
 * Until when.
 */
until: Timestamp, } | { "state": "client_rejected", 
/**
 * What was seen last.
 */
last_error: string, 
/**
 * When the next try is made at the earliest; none once the tries have halted.
 */
next_try: Timestamp | null, } | { "state": "misconfigured", 
/**
 * What was seen last.
 */
last_error: string, 
/**
 * When the next try is made at the earliest; none once the tries have halted.
 */
next_try: Timestamp | null, } | { "state": "reconnect_required", 
/**
 * Why.
 */
why: string, } | { "state": "unproven" } | { "state": "paused" };

export type Count = { 
/**
 * Refreshes that brought tokens.
 */
succeeded: number, 
/**
 * Refreshes that did not.
 */
failed: number, };

export type Rates = { 
/**
 * Over the last five minutes.
 */
five_minutes: Count, 
/**
 * Over the last hour.
 */
hour: Count, 
/**
 * Over the last 24 hours.
 */
day: Count, };

export type StoreState = "unlocked" | "locked" | "new";

export type Refusal = { 
/**
 * What to branch on.
 */
code: string, 
/**
 * What failed, this time.
 */
detail: string, 
/**
 * What a person or agent does next.
 */
hint: string, 
/**
 * When asking again makes sense.
 */
retry_after_seconds?: number, };

export type LockView = { 
/**
 * Its identifier.
 */
id: string, 
/**
 * Who took it: the agent's identifier.
 */
agent: string, 
/**
 * What that one calls itself; it may be revoked by now.
 */
agent_name: string, 
/**
 * Through which connection.
 */
connection: Name | null, 
/**
 * At which path of the provider's API.
 */
path: string, 
/**
 * When it was taken.
 */
since: Timestamp, 
/**
 * When it ends by itself, if the provider or the agent said so.
 */
until: Timestamp | null, 
/**
 * Why it is being given back, where it is.
 */
returning: string | null, 
/**
 * What was seen when that was tried last.
 */
last_error: string | null, };

export type Status = { 
/**
 * The version of Doorward.
 */
version: string, 
/**
 * The process that holds the broker.
 */
pid: number, 
/**
 * `unlocked`, `locked` or `new`.
 */
store: StoreState, 
/**
 * Where the store's key comes from, once that was decided.
 */
keys: string | null, 
/**
 * Whether an approval PIN is set; nothing while the store is locked.
 */
pin_set: boolean | null, 
/**
 * Where the gateway listens, if it does.
 */
url: string | null, 
/**
 * How many connections there are.
 */
connections: number, 
/**
 * How many of them need a person.
 */
need_reconnect: number, 
/**
 * How many further connections a person has to look at, because the provider refuses to renew them.
 */
need_look: number, 
/**
 * For how many connections the tries have halted, because the provider does not answer.
 */
halted: number, 
/**
 * How many agents there are.
 */
agents: number, 
/**
 * How many approval requests wait.
 */
requests: number, 
/**
 * How many questions about single calls wait.
 */
questions: number, 
/**
 * How many revocations are owed to providers.
 */
revocations_owed: number, 
/**
 * How many connections' fresh tokens are in memory alone, because the store could not take them.
 */
tokens_unsaved: number, 
/**
 * The locks that agents hold at providers, the oldest first.
 */
locks: Array<LockView>, 
/**
 * Why the store is not open, and what to do, where it is not.
 */
locked_because: Refusal | null, };

export type ConnectionView = { 
/**
 * Its identifier.
 */
id: string, 
/**
 * Its name.
 */
name: Name, 
/**
 * Its tenant's name.
 */
tenant: Name, 
/**
 * Its provider's name.
 */
provider: string, 
/**
 * Its provider's title.
 */
provider_title: string, 
/**
 * The provider's address.
 */
issuer: string, 
/**
 * Whose account it is.
 */
account: string | null, 
/**
 * The scope that was asked for.
 */
asked: string, 
/**
 * Whether only reading was asked for.
 */
read_only: boolean, 
/**
 * What was granted.
 */
granted: Array<string>, 
/**
 * Whether the provider said what it granted.
 */
granted_stated: boolean, 
/**
 * Its health.
 */
health: Health, 
/**
 * When a person last consented.
 */
connected_at: Timestamp, 
/**
 * When its access token ends.
 */
access_expires_at: Timestamp | null, 
/**
 * The last real call that succeeded.
 */
proven_at: Timestamp | null, 
/**
 * How many agents may use it.
 */
agents: number, 
/**
 * Since when its health is as it is, as far as that is known.
 */
health_since: Timestamp | null, 
/**
 * When it is refreshed next by itself, or tried again.
 */
next_refresh: Timestamp | null, 
/**
 * What was seen last in a row of failures.
 */
last_error: string | null, 
/**
 * How its refreshes went since Doorward started.
 */
rates: Rates, };

export type Always = "allow" | "deny";

export type AnswerView = { 
/**
 * Its identifier.
 */
id: string, 
/**
 * The call, without its arguments.
 */
what: string, 
/**
 * What was said.
 */
says: Always, 
/**
 * When.
 */
created_at: Timestamp, };

export type GrantView = { 
/**
 * Its identifier.
 */
id: string, 
/**
 * The connection's name.
 */
connection: Name, 
/**
 * The doors.
 */
doors: Array<Door>, 
/**
 * The limits.
 */
policy: Policy, 
/**
 * How long it lasts.
 */
lifetime: Lifetime, 
/**
 * What a person said for good about single calls, the newest first.
 */
answers: Array<AnswerView>, };

export type AgentView = { 
/**
 * Its identifier.
 */
id: string, 
/**
 * What it calls itself.
 */
name: string, 
/**
 * Its tenant's name.
 */
tenant: Name, 
/**
 * Whether it is paused.
 */
paused: boolean, 
/**
 * What it was given.
 */
grants: Array<GrantView>, 
/**
 * Whether a key of it reads the metrics.
 */
metrics: boolean, 
/**
 * How many keys it holds that open something.
 */
keys: number, 
/**
 * Its last use, to about a minute.
 */
last_used_at: Timestamp | null, 
/**
 * When it was let in.
 */
created_at: Timestamp, 
/**
 * The locks that it holds at providers.
 */
holds: Array<LockView>, };

export type RequestView = { 
/**
 * Its identifier.
 */
id: string, 
/**
 * What the agent calls itself.
 */
name: string, 
/**
 * The code to compare.
 */
code: string, 
/**
 * What it asks for, as `NAME:door`.
 */
wanted: Array<string>, 
/**
 * The program behind it.
 */
program: Program | null, 
/**
 * When it asked.
 */
created_at: Timestamp, 
/**
 * When no answer becomes a refusal.
 */
expires_at: Timestamp, };

export type QuestionView = { 
/**
 * Its identifier.
 */
id: string, 
/**
 * The code that names it at a terminal.
 */
code: string, 
/**
 * What the agent calls itself.
 */
agent: string, 
/**
 * The connection it would use.
 */
connection: Name, 
/**
 * What is called: a method and a path, or a tool.
 */
what: string, 
/**
 * With what: the body or the arguments.
 */
arguments: string, 
/**
 * How many characters of it are not shown.
 */
unshown: number, 
/**
 * The program that calls, where it is known.
 */
program: Program | null, 
/**
 * When it asked.
 */
created_at: Timestamp, 
/**
 * When no answer becomes a refusal.
 */
expires_at: Timestamp, };

export type ScopeOffer = { 
/**
 * The word.
 */
word: string, 
/**
 * What a person calls it.
 */
title: string, 
/**
 * What choosing it means.
 */
explains: string, };

export type ProviderOffer = { 
/**
 * The name it is asked for by.
 */
name: string, 
/**
 * The name shown to people.
 */
title: string, 
/**
 * What can be asked for; nothing where the provider lists nothing.
 */
scopes: Array<ScopeOffer>, 
/**
 * What is asked for when the person chooses nothing.
 */
default_scope: string, };

export type Snapshot = { 
/**
 * How the broker is.
 */
status: Status, 
/**
 * All connections.
 */
connections: Array<ConnectionView>, 
/**
 * All agents.
 */
agents: Array<AgentView>, 
/**
 * The approval requests that wait.
 */
requests: Array<RequestView>, 
/**
 * The questions about single calls that wait.
 */
questions: Array<QuestionView>, 
/**
 * What can be connected.
 */
providers: Array<ProviderOffer>, };

export type ConnectAsk = { 
/**
 * A manifest's name or an issuer's address.
 */
provider: string | null, 
/**
 * Another address for the manifest's provider.
 */
base: string | null, 
/**
 * The scope.
 */
scope: string | null, 
/**
 * Whether only reading is asked for.
 */
read_only: boolean, 
/**
 * The tenant.
 */
tenant: Name | null, 
/**
 * The connection's name.
 */
name: Name | null, 
/**
 * The name the consent page shows.
 */
agent_name: string | null, };

export type ConsentStarted = { 
/**
 * Names the consent in further calls.
 */
flow: string, 
/**
 * The connection it is for.
 */
connection: Name, 
/**
 * The provider's title.
 */
provider_title: string, 
/**
 * The scope that is asked for.
 */
scope: string, 
/**
 * Whether only reading is asked for.
 */
read_only: boolean, 
/**
 * The name the consent page shows.
 */
agent_name: string, 
/**
 * The address to open in the browser.
 */
url: string, 
/**
 * When it ends.
 */
expires_at: Timestamp, };

export type Disconnected = { 
/**
 * The connection's name.
 */
name: Name, 
/**
 * Until when an access token that was handed out may still work at the provider, if one was and that is known.
 */
handed_out_until: Timestamp | null, 
/**
 * Whether the provider has confirmed the end; where it has not, the outbox goes on trying.
 */
confirmed: boolean, };

export type AgentRevoked = { 
/**
 * What it called itself.
 */
name: string, 
/**
 * Access tokens it was handed that may still work at the provider: connection and end.
 */
handed_out: Array<[Name, Timestamp | null]>, };

export type AuditTopic = "uses" | "refusals" | "access" | "connections" | "locks" | "store";

export type ActivityAsk = { 
/**
 * About that agent, by name or the beginning of its identifier.
 */
agent: string | null, 
/**
 * About that connection.
 */
connection: Name | null, 
/**
 * About that topic.
 */
topic: AuditTopic | null, 
/**
 * Before the row of that number.
 */
before: number | null, 
/**
 * How many at the most.
 */
limit: number, 
/**
 * Whether the uses of this minute, which are written down when it is over, are written down now.
 */
up_to_now: boolean, };

export type AuditRowView = { 
/**
 * Its number.
 */
row: number, 
/**
 * When it was written.
 */
at: Timestamp, 
/**
 * What happened.
 */
kind: string, 
/**
 * In which tenant.
 */
tenant: string | null, 
/**
 * To which connection.
 */
connection: string | null, 
/**
 * By or to which agent.
 */
agent: string | null, 
/**
 * Plain words about it.
 */
detail: { [key in string]: string }, 
/**
 * All of it as a sentence; names and paths of programs stand between backticks.
 */
says: string, };

export type ActivityPage = { 
/**
 * The rows.
 */
rows: Array<AuditRowView>, 
/**
 * Whether there are older ones.
 */
has_more: boolean, };

export type Terms = { 
/**
 * Another connection than the one asked for.
 */
connection: Name | null, 
/**
 * Other doors than those asked for.
 */
doors: Array<Door> | null, 
/**
 * Limits.
 */
policy: Policy, 
/**
 * For how long.
 */
lifetime: LifetimeAsk | null, };

export type TypedLimits = { 
/**
 * Only paths below these.
 */
paths: Array<string>, 
/**
 * Only these HTTP methods.
 */
methods: Array<string>, 
/**
 * Only these tools.
 */
tools: Array<string>, 
/**
 * A person is asked for these calls.
 */
ask: Array<string>, 
/**
 * These calls are denied.
 */
deny: Array<string>, };

export type WrongLimit = { 
/**
 * The field, by its name in [`TypedLimits`].
 */
field: string, 
/**
 * What is the matter with the first such line of it.
 */
message: string, };

export type PauseTarget = { "agent": string } | { "connection": Name } | "all_agents";

export type Problem = { 
/**
 * A code of a refusal, or one of the desktop's own.
 */
code: string, 
/**
 * What failed.
 */
message: string, 
/**
 * What a person does next.
 */
hint: string, };

export type Page = "connections" | "connect" | "agents" | "approvals" | "activity";

export type Goto = { 
/**
 * The page.
 */
page: Page, 
/**
 * The name of a connection.
 */
connection?: string, 
/**
 * The identifier of an approval request, or of a question about a call.
 */
request?: string, };
