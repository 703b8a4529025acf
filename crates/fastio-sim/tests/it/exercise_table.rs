//! The table of the protocol page (section 15): what the official command line puts on the wire, row by
//! row, and what of the answers the page tells. Row 12 is a program of its own and sends what row 1 sends.

use fastio_sim::demo;

use crate::world::{CHALLENGE, VERIFIER};

const CLI_REDIRECT: &str = "http://localhost:19836/callback";

pub(crate) type Pairs = &'static [(&'static str, &'static str)];

/// What stands in `Authorization`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Credential {
    /// The bearer of the one who is signed in, or another one by its name in the memory.
    Bearer(&'static str),
    Basic,
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// None, and no content type.
    None,
    /// A form; without fields it is empty and still has its content type.
    Form(Pairs),
    Json(&'static str),
    /// One piece of the large file, counted from 1.
    Piece(usize),
}

/// One request, what it must be answered, and what of the answer later requests need. Words in braces are
/// looked up in what was remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    /// Below `/current/`.
    pub(crate) path: &'static str,
    pub(crate) query: Pairs,
    pub(crate) body: Body,
    pub(crate) credential: Credential,
    pub(crate) status: u16,
    /// Where in the answer, as a JSON pointer, stands what; `*` stands for anything but null.
    pub(crate) shows: Pairs,
    /// What is remembered under a name, and where it stands.
    pub(crate) keeps: Pairs,
    /// Whether the answer is JSON outside the envelope.
    pub(crate) bare: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Ask(Ask),
    /// The person approves the authorization that was begun.
    Approve,
    /// As much time passes as an answer about files takes.
    UntilAnswered,
    /// Tokens live one second from now on, or an hour again.
    ShortTokens(bool),
    /// The next request is answered 429.
    Limit,
    /// The next two requests are answered 502.
    Outage,
    /// The windows of 429s end.
    Clear,
    /// The answer before this one was the file, whole.
    WasTheFile,
}

pub(crate) struct Row {
    pub(crate) number: u8,
    pub(crate) steps: &'static [Step],
}

const fn ask(method: &'static str, path: &'static str) -> Ask {
    Ask {
        method,
        path,
        query: &[],
        body: Body::None,
        credential: Credential::Bearer("{token}"),
        status: 200,
        shows: &[],
        keeps: &[],
        bare: false,
    }
}

pub(crate) const ROWS: &[Row] = &[
    Row {
        number: 1,
        steps: &[Step::Ask(Ask {
            shows: &[("/user/email_address", demo::EMAIL)],
            ..ask("GET", "user/me/details/")
        })],
    },
    Row {
        number: 2,
        steps: &[Step::Ask(Ask {
            query: &[("limit", "10"), ("output", "terse")],
            shows: &[("/orgs/1/id", demo::CLINIC), ("/pagination/limit", "10")],
            ..ask("GET", "orgs/list/")
        })],
    },
    Row {
        number: 3,
        steps: &[
            Step::Ask(Ask {
                shows: &[("/id", demo::PERSON_ID)],
                ..ask("GET", "user/auth/check/")
            }),
            Step::Ask(Ask {
                shows: &[("/id", demo::PERSON_ID)],
                ..ask("GET", "user/auth/check/")
            }),
            Step::Ask(Ask {
                shows: &[("/scopes/0", "user:*:rw"), ("/admin", "false")],
                ..ask("GET", "auth/scopes/")
            }),
        ],
    },
    Row {
        number: 4,
        steps: &[
            Step::ShortTokens(true),
            Step::Ask(Ask {
                query: &[
                    ("client_id", "fastio-cli"),
                    ("response_type", "code"),
                    ("code_challenge", CHALLENGE),
                    ("code_challenge_method", "S256"),
                    ("state", "00112233445566778899aabbccddeeff"),
                    ("redirect_uri", CLI_REDIRECT),
                    ("response_format", "json"),
                ],
                credential: Credential::Nothing,
                shows: &[("/expires_in", "600")],
                keeps: &[("request", "/auth_request_id")],
                ..ask("GET", "oauth/authorize/")
            }),
            Step::Approve,
            Step::Ask(Ask {
                body: Body::Form(&[
                    ("grant_type", "authorization_code"),
                    ("code", "{code}"),
                    ("code_verifier", VERIFIER),
                    ("client_id", "fastio-cli"),
                    ("redirect_uri", CLI_REDIRECT),
                    ("device_name", "fastio-cli"),
                    ("device_type", "cli"),
                ]),
                credential: Credential::Nothing,
                shows: &[
                    ("/access_token", "*"),
                    ("/refresh_token", "*"),
                    ("/token_type", "Bearer"),
                    ("/expires_in", "1"),
                    ("/scopes", "[\"user:*:rw\"]"),
                ],
                bare: true,
                ..ask("POST", "oauth/token/")
            }),
            Step::ShortTokens(false),
        ],
    },
    Row {
        number: 5,
        steps: &[
            Step::Ask(Ask {
                shows: &[("/response/sessions/0/session_id", "{own}")],
                ..ask("GET", "oauth/sessions/")
            }),
            Step::Ask(Ask {
                body: Body::Form(&[("device_name", "d"), ("agent_name", "a")]),
                shows: &[
                    ("/response/session/device_name", "d"),
                    ("/response/session/agent_name", "a"),
                ],
                ..ask("PATCH", "oauth/sessions/{other}/")
            }),
            Step::Ask(ask("DELETE", "oauth/sessions/{other}/")),
            Step::Ask(Ask {
                status: 404,
                shows: &[("/error/code", "1609")],
                ..ask("GET", "oauth/sessions/{other}/")
            }),
            Step::Ask(Ask {
                query: &[("exclude_current", "true"), ("current_session_id", "{own}")],
                ..ask("DELETE", "oauth/sessions/")
            }),
            Step::Ask(Ask {
                shows: &[("/response/sessions/0/session_id", "{own}")],
                ..ask("GET", "oauth/sessions/")
            }),
        ],
    },
    Row {
        number: 6,
        steps: &[
            Step::Ask(Ask {
                body: Body::Form(&[("duration", "300")]),
                keeps: &[("lock", "/lock_token")],
                ..ask("POST", "workspace/{website}/storage/{file}/lock/")
            }),
            Step::Ask(Ask {
                body: Body::Form(&[("lock_token", "{lock}")]),
                ..ask("POST", "workspace/{website}/storage/{file}/lock/heartbeat/")
            }),
            Step::Ask(Ask {
                body: Body::Form(&[("lock_token", "{lock}")]),
                ..ask("DELETE", "workspace/{website}/storage/{file}/lock/")
            }),
            Step::Ask(Ask {
                shows: &[("/locked", "false")],
                ..ask("GET", "workspace/{website}/storage/{file}/lock/")
            }),
        ],
    },
    Row {
        number: 7,
        steps: &[Step::Ask(Ask {
            query: &[("lastactivity", "2026-01-01 00:00:00"), ("wait", "5")],
            // The lock of row 6 is news since then.
            shows: &[("/activity/storage:{file}", "*"), ("/lastactivity", "*")],
            ..ask("GET", "activity/poll/{website}/")
        })],
    },
    Row {
        number: 8,
        steps: &[
            Step::Ask(Ask {
                body: Body::Form(&[("question", "What does design cost?")]),
                keeps: &[("thread", "/thread/thread_id"), ("turn", "/turn/turn_id")],
                ..ask("POST", "workspace/{website}/ai/agent/")
            }),
            Step::Ask(Ask {
                shows: &[("/message/state", "*")],
                ..ask(
                    "GET",
                    "workspace/{website}/ai/agent/{thread}/message/{turn}/details/",
                )
            }),
            Step::Ask(Ask {
                query: &[("wait", "20")],
                shows: &[("/lastactivity", "*")],
                ..ask("GET", "activity/poll/{website}/")
            }),
            Step::UntilAnswered,
            Step::Ask(Ask {
                shows: &[
                    ("/message/state", "complete"),
                    ("/message/text", "The files say: design,4200"),
                    ("/message/citations/0/nodeId", "*"),
                ],
                ..ask(
                    "GET",
                    "workspace/{website}/ai/agent/{thread}/message/{turn}/details/",
                )
            }),
        ],
    },
    Row {
        number: 9,
        steps: &[
            Step::Ask(Ask {
                body: Body::Form(&[
                    ("name", "big.bin"),
                    ("size", "9000000"),
                    ("action", "create"),
                    ("instance_id", "{website}"),
                    ("folder_id", "root"),
                    ("profile_type", "workspace"),
                ]),
                keeps: &[("upload", "/id")],
                ..ask("POST", "upload/")
            }),
            Step::Ask(piece(1, &[("order", "1"), ("size", "4194304")])),
            Step::Ask(piece(2, &[("order", "2"), ("size", "4194304")])),
            Step::Ask(piece(3, &[("order", "3"), ("size", "611392")])),
            Step::Ask(Ask {
                body: Body::Form(&[]),
                ..ask("POST", "upload/{upload}/complete/")
            }),
            Step::Ask(Ask {
                shows: &[("/session/status", "complete")],
                ..ask("GET", "upload/{upload}/details/")
            }),
            Step::Ask(Ask {
                keeps: &[("big", "/session/new_file_id")],
                ..ask("GET", "upload/{upload}/details/")
            }),
        ],
    },
    Row {
        number: 10,
        steps: &[
            Step::Ask(Ask {
                keeps: &[("ticket", "/token")],
                ..ask("GET", "workspace/{website}/storage/{big}/requestread/")
            }),
            Step::Ask(Ask {
                query: &[("token", "{ticket}")],
                credential: Credential::Nothing,
                bare: true,
                ..ask("GET", "workspace/{website}/storage/{big}/read/")
            }),
            Step::WasTheFile,
        ],
    },
    Row {
        number: 11,
        steps: &[
            Step::Limit,
            Step::Ask(Ask {
                status: 429,
                shows: &[("/error/code", "1671")],
                ..ask("GET", "user/me/details/")
            }),
            Step::Clear,
            Step::Outage,
            Step::Ask(Ask {
                status: 502,
                shows: &[("/error/text", "*")],
                ..ask("GET", "user/me/details/")
            }),
            Step::Ask(Ask {
                status: 502,
                shows: &[("/error/text", "*")],
                ..ask("GET", "user/me/details/")
            }),
            Step::Ask(ask("GET", "user/me/details/")),
        ],
    },
    Row {
        number: 13,
        steps: &[Step::Ask(Ask {
            body: Body::Form(&[
                ("source_url", "https://e.com/a.pdf"),
                ("profile_id", "{website}"),
                ("profile_type", "workspace"),
                ("folder_id", "root"),
                ("file_name", "a.pdf"),
            ]),
            shows: &[("/id", "*")],
            ..ask("POST", "web_upload/")
        })],
    },
    Row {
        number: 14,
        steps: &[Step::Ask(Ask {
            body: Body::Json("{\"provider\":\"google_drive\"}"),
            shows: &[("/id", "*")],
            ..ask("POST", "imports/workspace/{website}/identities/provision/")
        })],
    },
    Row {
        number: 15,
        steps: &[Step::Ask(Ask {
            body: Body::Form(&[]),
            shows: &[("/token", "*")],
            ..ask("POST", "org/{studio}/transfer/token/create/")
        })],
    },
    Row {
        number: 16,
        steps: &[
            Step::Ask(Ask {
                body: Body::Form(&[("intelligence", "true")]),
                shows: &[("/workspace/intelligence", "true")],
                ..ask("POST", "workspace/{website}/update/")
            }),
            Step::Ask(Ask {
                shows: &[("/nodes/0/id", "*"), ("/pagination/has_more", "false")],
                ..ask("GET", "workspace/{website}/storage/root/list/")
            }),
        ],
    },
    Row {
        number: 17,
        steps: &[Step::Ask(Ask {
            body: Body::Form(&[
                ("memo", "ci"),
                ("scopes", "[\"org:3800000000000000101:r\"]"),
                ("agent_name", "bot"),
            ]),
            shows: &[("/api_key", "*")],
            ..ask("POST", "user/auth/key/")
        })],
    },
    Row {
        number: 18,
        steps: &[
            Step::Ask(Ask {
                credential: Credential::Basic,
                shows: &[("/expires_in", "2592000"), ("/2factor", "false")],
                keeps: &[("session", "/auth_token")],
                ..ask("GET", "user/auth/")
            }),
            Step::Ask(Ask {
                credential: Credential::Bearer("{session}"),
                ..ask("POST", "user/auth/sign-out/")
            }),
            Step::Ask(Ask {
                credential: Credential::Bearer("{session}"),
                status: 401,
                shows: &[("/error/code", "1650")],
                ..ask("GET", "user/auth/check/")
            }),
        ],
    },
    Row {
        number: 19,
        steps: &[
            Step::Ask(Ask {
                shows: &[("/token", "*"), ("/expires_in", "*")],
                ..ask("GET", "websocket/auth/{link}")
            }),
            Step::Ask(Ask {
                query: &[("workspace_id", "{website}"), ("limit", "5")],
                shows: &[("/events/0/event_id", "*"), ("/pagination/limit", "5")],
                ..ask("GET", "events/search/")
            }),
        ],
    },
];

const fn piece(number: usize, query: Pairs) -> Ask {
    Ask {
        query,
        body: Body::Piece(number),
        ..ask("POST", "upload/{upload}/chunk/")
    }
}
