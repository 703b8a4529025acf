//! Paths, targets, hosts, keys, pages and redirects at `/proxy`.

use super::corpus::{Case, keyed};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    paths(&mut cases);
    targets(&mut cases);
    hosts(&mut cases);
    keys(&mut cases);
    pages(&mut cases);
    credentials(&mut cases);
    headers(&mut cases);
    provider(&mut cases);
    cases
}

/// Paths that one server or another would read as leaving the base.
fn paths(cases: &mut Vec<Case>) {
    for path in [
        "..",
        "../",
        "../../etc/passwd",
        "a/../../oauth/token/",
        "a/../b",
        "./a",
        "a/.",
        "%2e%2e/",
        "%2E%2e/oauth/token/",
        ".%2e/a",
        "%2e./a",
        "a/%2e%2e%2fb",
        "%252e%252e/a",
        "%252e%252e%252f",
        "..%2f",
        "..%252f",
        "..%5c",
        "..%255c",
        "..\\a",
        "a\\..\\b",
        "a%5c..%5cb",
        "..;/a",
        "..;x=y/a",
        "%2e%2e;/a",
        "..%3b/a",
        "..%20/a",
        "a//b",
        "/evil.example/",
        "//evil.example/",
        "%2f%2fevil.example/",
        "/%2e%2e/",
        "a/%00",
        "a/%0d%0aHost:%20evil.example",
        "a/%0a",
        "a/%0dx",
        "a/%e5%98%8a%e5%98%8d/%zz",
        "a/%",
        "a/%2",
        "a/%gg",
        "a/%c0%ae%c0%ae/",
        "a/%ff",
        "a/%u002e%u002e/",
        "a/%7f",
    ] {
        let request = keyed("GET", &format!("/proxy/recorded/{path}"), "");
        cases.push(Case::refused(
            format!("path {path}"),
            request,
            &[400, 404],
            "",
        ));
    }
    for path in [
        "",
        "/",
        "a/b?x=../..",
        "a/b?u=http://evil.example/",
        "a/b?x=%0d%0a",
    ] {
        let path = path.trim_start_matches('/');
        let request = keyed("GET", &format!("/proxy/recorded/{path}"), "");
        let name = format!("a harmless path {path:?} {}", cases.len());
        cases.push(Case::passed(name, request, &[200], &[]));
    }
    for path in [
        "/proxy/",
        "/proxy//a",
        "/proxy/../v1/token",
        "/proxy/recorded%2f../a",
        "/proxy/recorded;x/a",
        "/proxy/Recorded/a",
        "/proxy/nobody/a",
        "/proxy/%72ecorded%00/a",
        "/proxy/recorded%20/a",
    ] {
        let request = keyed("GET", path, "");
        cases.push(Case::refused(
            format!("name {path}"),
            request,
            &[400, 404],
            "",
        ));
    }
}

/// Targets that are no path.
fn targets(cases: &mut Vec<Case>) {
    for target in [
        "http://evil.example/proxy/recorded/a",
        "{elsewhere}/proxy/recorded/a",
        "https://{host}/proxy/recorded/a",
        "http://user@{host}/proxy/recorded/a",
        "ftp://{host}/proxy/recorded/a",
        "http:/proxy/recorded/a",
    ] {
        let request = keyed("GET", target, "");
        let name = format!("target {target}");
        cases.push(Case::refused(name, request, &[400, 404, 421], ""));
    }
    for (method, target) in [
        ("CONNECT", "evil.example:443"),
        ("CONNECT", "{elsewhere-host}"),
        ("OPTIONS", "*"),
        ("GET", "evil.example"),
        ("GET", "proxy/recorded/a"),
    ] {
        let request = keyed(method, target, "");
        let name = format!("target {method} {target}");
        cases.push(Case::refused(
            name,
            request,
            &[0, 400, 401, 404, 405, 421],
            "",
        ));
    }
}

fn hosts(cases: &mut Vec<Case>) {
    let with = |hosts: &str| {
        format!("GET /proxy/recorded/a HTTP/1.1\r\n{hosts}Authorization: Bearer {{key}}\r\n\r\n")
    };
    for hosts in [
        "",
        "Host: \r\n",
        "Host: evil.example\r\n",
        "Host: {host}\r\nHost: {host}\r\n",
        "Host: {host}\r\nHost: evil.example\r\n",
        "Host: {host}.evil.example\r\n",
        "Host: user@{host}\r\n",
        "Host: {host}/\r\n",
        "Host: {host},evil.example\r\n",
        "Host: 127.0.0.1\r\n",
        "Host: 127.0.0.1.:80\r\n",
        "Host: 127.1:13667\r\n",
        "Host: 0.0.0.0:13667\r\n",
        "Host: {elsewhere-host}\r\n",
    ] {
        let name = format!("hosts {hosts:?}");
        cases.push(Case::refused(name, with(hosts), &[400, 421], ""));
    }
}

fn keys(cases: &mut Vec<Case>) {
    let with =
        |keys: &str| format!("GET /proxy/recorded/a HTTP/1.1\r\nHost: {{host}}\r\n{keys}\r\n");
    for keys in [
        "",
        "Authorization: \r\n",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer dwk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n",
        "Authorization: Basic {key}\r\n",
        "Authorization: {key}\r\n",
        "Authorization: Bearer {key}, Bearer {key}\r\n",
        "Authorization: Bearer {key}x\r\n",
    ] {
        let name = format!("keys {keys:?}");
        cases.push(Case::refused(name, with(keys), &[401], "unauthenticated"));
    }
    // A key where no key belongs could be passed on or logged, so it is not overlooked.
    for keys in [
        "Proxy-Authorization: Bearer {key}\r\n",
        "Cookie: Authorization=Bearer%20{key}\r\n",
        "X-Api-Key: {key}\r\n",
        "Authorization: Bearer {key}\r\nX-Api-Key: {key}\r\n",
    ] {
        let name = format!("keys {keys:?}");
        cases.push(Case::refused(name, with(keys), &[400], "bad_request"));
    }
    let twice = "Authorization: Bearer {key}\r\nAuthorization: Bearer {key}\r\n";
    cases.push(Case::refused(
        "a key twice",
        with(twice),
        &[400],
        "bad_request",
    ));
    for target in [
        "/proxy/recorded/a?key={key}",
        "/proxy/recorded/a?x=%64wk_{key}&y={key}",
        "/proxy/recorded/{key}/a",
    ] {
        let name = format!("a key in {target}");
        cases.push(Case::refused(
            name,
            keyed("GET", target, ""),
            &[400],
            "bad_request",
        ));
    }
    let ticket = "GET /proxy/recorded/workspace/1/storage/n/read/?token=guess HTTP/1.1\r\nHost: {host}\r\n\r\n";
    cases.push(Case::refused(
        "a ticket that nobody was handed",
        ticket,
        &[401],
        "unauthenticated",
    ));
}

fn pages(cases: &mut Vec<Case>) {
    for headers in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://{host}\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    ] {
        let name = format!("page {headers:?}");
        let request = keyed(
            "POST",
            "/proxy/recorded/a",
            &format!("{headers}Content-Length: 0\r\n"),
        );
        cases.push(Case::refused(name, request, &[403], "origin_not_allowed"));
    }
    let preflight = "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n";
    let request = keyed("OPTIONS", "/proxy/recorded/a", preflight);
    cases.push(Case::refused(
        "a preflight",
        request,
        &[403],
        "origin_not_allowed",
    ));
}

/// Endpoints that would give an agent a credential that outlives its grant.
fn credentials(cases: &mut Vec<Case>) {
    for (method, path) in [
        ("POST", "user/auth/key/"),
        ("POST", "user/auth/key"),
        ("GET", "user/auth/keys/"),
        ("DELETE", "user/auth/key/7/"),
        ("POST", "User/Auth/Key/"),
        ("POST", "user/%61uth/key/"),
        ("POST", "user/auth/%6b%65%79/"),
        ("POST", "user/auth/key;a=b/"),
        ("POST", "user/auth/key%20/"),
        ("POST", "user/auth/key/?output=terse"),
        ("GET", "user/auth/"),
        ("GET", "user/auth"),
        ("POST", "user/auth/sign-out/"),
        ("GET", "oauth/authorize/?client_id=x"),
        ("POST", "oauth/token/"),
        ("POST", "oauth/register/"),
        ("PUT", "oauth/register/"),
        ("POST", "oauth/revoke/"),
        ("GET", "oauth/sessions/"),
        ("DELETE", "oauth/sessions/"),
        ("DELETE", "OAUTH/sessions/s1/"),
        ("PATCH", "oauth/sessions/s1/"),
    ] {
        let request = keyed(
            method,
            &format!("/proxy/recorded/{path}"),
            "Content-Length: 0\r\n",
        );
        let name = format!("credential {method} {path}");
        cases.push(Case::refused(name, request, &[403], "policy_denied"));
    }
}

/// Headers that would steer the provider, or what we do to our own.
fn headers(cases: &mut Vec<Case>) {
    for (headers, without) in [
        ("Cookie: a=b\r\n", "cookie"),
        ("Connection: close, Authorization\r\n", "cookie"),
        ("Connection: Host, X-Trace\r\nX-Trace: 1\r\n", "x-trace"),
        ("Proxy-Authorization: Basic YTpi\r\n", "proxy-authorization"),
        ("Proxy-Connection: keep-alive\r\n", "proxy-connection"),
        ("Keep-Alive: timeout=5\r\n", "keep-alive"),
        (
            "X-HTTP-Method-Override: DELETE\r\n",
            "x-http-method-override",
        ),
        ("X-Method-Override: DELETE\r\n", "x-method-override"),
        ("X-HTTP-Method: DELETE\r\n", "x-http-method"),
        (
            "X-Original-URL: /current/user/auth/key/\r\n",
            "x-original-url",
        ),
        (
            "X-Rewrite-URL: /current/user/auth/key/\r\n",
            "x-rewrite-url",
        ),
        ("X-Forwarded-Host: evil.example\r\n", "x-forwarded-host"),
        ("X-Forwarded-For: 127.0.0.1\r\n", "x-forwarded-for"),
        ("Forwarded: host=evil.example\r\n", "forwarded"),
        (
            "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
            "http2-settings",
        ),
        ("TE: gzip;q=0.1\r\n", "te"),
    ] {
        let request = keyed("GET", "/proxy/recorded/a", headers);
        let name = format!("header {}", headers.trim_end());
        cases.push(Case::passed(name, request, &[200], &[without]));
    }
}

/// Answers of a provider that would lead an agent, or a credential, astray.
fn provider(cases: &mut Vec<Case>) {
    for (path, status) in [
        ("redirect-301", 301),
        ("redirect-302", 302),
        ("redirect-303", 303),
        ("redirect-307", 307),
        ("redirect-308", 308),
        ("redirect-relative", 302),
        ("greedy", 401),
    ] {
        let request = keyed("GET", &format!("/proxy/recorded/{path}"), "");
        cases.push(Case::passed(
            format!("answer {path}"),
            request,
            &[status],
            &[],
        ));
    }
}
