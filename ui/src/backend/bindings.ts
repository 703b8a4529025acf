// What crosses between the window and the program. The Rust side generates this file; a test there fails when the two
// differ. Times are milliseconds since the epoch.

export type Door = "token" | "proxy";

export type Policy = { read_only: boolean, path_prefixes: Array<string>, methods: Array<string>, tools: Array<string>, ask_each_time: boolean, };

export type ProgramId = { pid: number, started: number, };

export type Program = { id: ProgramId, uid: number, executable: string, script: string | null, folder: string, parent: string | null, };

export type Lifetime = "until_revoked" | { "until": number } | { "while_running": ProgramId };

export type LifetimeAsk = "until_revoked" | "hour" | "today" | "while_running";

export type Health = { "state": "connected" } | { "state": "refreshing" } | { "state": "degraded", last_error: string, next_try: number, } | { "state": "rate_limited", until: number, } | { "state": "reconnect_required", why: string, } | { "state": "unproven" } | { "state": "paused" };

export type StoreState = "unlocked" | "locked" | "new";

export type Refusal = { code: string, detail: string, hint: string, retry_after_seconds?: number | null, };

export type Status = { version: string, pid: number, store: StoreState, keys: string | null, pin_set: boolean | null, url: string | null, connections: number, need_reconnect: number, agents: number, requests: number, revocations_owed: number, locked_because: Refusal | null, };

export type ConnectionView = { id: string, name: string, tenant: string, provider: string, provider_title: string, issuer: string, account: string | null, asked: string, read_only: boolean, granted: Array<string>, granted_stated: boolean, health: Health, connected_at: number, access_expires_at: number | null, proven_at: number | null, agents: number, };

export type GrantView = { id: string, connection: string, doors: Array<Door>, policy: Policy, lifetime: Lifetime, };

export type AgentView = { id: string, name: string, tenant: string, paused: boolean, grants: Array<GrantView>, keys: number, last_used_at: number | null, created_at: number, };

export type RequestView = { id: string, name: string, code: string, wanted: Array<string>, program: Program | null, created_at: number, expires_at: number, };

export type ScopeOffer = { word: string, title: string, explains: string, };

export type ProviderOffer = { name: string, title: string, scopes: Array<ScopeOffer>, default_scope: string, };

export type Snapshot = { status: Status, connections: Array<ConnectionView>, agents: Array<AgentView>, requests: Array<RequestView>, providers: Array<ProviderOffer>, };

export type ConnectAsk = { provider: string | null, base: string | null, scope: string | null, read_only: boolean, tenant: string | null, name: string | null, agent_name: string | null, };

export type ConsentStarted = { flow: string, connection: string, provider_title: string, scope: string, read_only: boolean, agent_name: string, url: string, expires_at: number, };

export type Disconnected = { name: string, handed_out_until: number | null, confirmed: boolean, };

export type AgentRevoked = { name: string, handed_out: Array<[string, number | null]>, };

export type Terms = { connection: string | null, doors: Array<Door> | null, policy: Policy, lifetime: LifetimeAsk | null, };

export type PauseTarget = { "agent": string } | { "connection": string } | "all_agents";

export type Problem = { code: string, message: string, hint: string, };

export type Page = "connections" | "agents" | "approvals";

export type Goto = { page: Page, connection?: string | null, request?: string | null, };
