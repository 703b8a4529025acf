//! Requests that two servers could take apart differently.

use super::corpus::{Case, keyed};

const TARGET: &str = "/proxy/recorded/a";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    lengths(&mut cases);
    framings(&mut cases);
    encodings(&mut cases);
    chunks(&mut cases);
    lines(&mut cases);
    sizes(&mut cases);
    cases
}

fn lengths(cases: &mut Vec<Case>) {
    for lengths in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: five\r\n",
        "Content-Length: 99999999999999999999999999\r\n",
    ] {
        let request = keyed("POST", TARGET, lengths)
            + "0\r\n\r\nGET /proxy/recorded/smuggled HTTP/1.1\r\n\r\n";
        let name = format!("lengths {lengths:?}");
        cases.push(Case::refused(name, request, &[0, 400], ""));
    }
}

/// Two framings at once: one alone counts (RFC 9112 §6.3), and the other is not passed on to somebody who might go by it.
fn framings(cases: &mut Vec<Case>) {
    for framings in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let request = keyed("POST", TARGET, framings)
            + "0\r\n\r\nGET /proxy/recorded/smuggled HTTP/1.1\r\n\r\n";
        let name = format!("framings {framings:?}");
        cases.push(Case::passed(name, request, &[200], &["content-length"]));
    }
}

fn encodings(cases: &mut Vec<Case>) {
    for encoding in [
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        " Transfer-Encoding: chunked\r\n",
        "Transfer\x00Encoding: chunked\r\n",
    ] {
        let request = keyed("POST", TARGET, encoding) + "0\r\n\r\n";
        let name = format!("encoding {encoding:?}");
        cases.push(Case::refused(name, request, &[0, 400, 501], ""));
    }
}

fn chunks(cases: &mut Vec<Case>) {
    // A body that breaks off or cannot be read ends as an error, and nothing of it counts as sent whole.
    for (name, body) in [
        ("a size that is no number", "zz\r\nhello\r\n0\r\n\r\n"),
        (
            "a size beyond all numbers",
            "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        ),
        ("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
        ("a chunk longer than its size", "3\r\nhello\r\n0\r\n\r\n"),
    ] {
        let request = keyed("POST", "/proxy/nobody/a", "Transfer-Encoding: chunked\r\n") + body;
        cases.push(Case::refused(
            format!("chunk {name}"),
            request,
            &[0, 400, 404],
            "",
        ));
    }
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let request = keyed("POST", TARGET, "Transfer-Encoding: chunked\r\n") + body;
    cases.push(Case::passed("chunks that are right", request, &[200], &[]));
}

fn lines(cases: &mut Vec<Case>) {
    for (name, request) in [
        ("a folded header", keyed("GET", TARGET, "X-A: b\r\n c\r\n")),
        (
            "a space before the colon",
            keyed("GET", TARGET, "X-A : b\r\n"),
        ),
        (
            "a carriage return in a value",
            keyed("GET", TARGET, "X-A: b\rc\r\n"),
        ),
        ("a zero in a value", keyed("GET", TARGET, "X-A: b\0c\r\n")),
        ("a header with no name", keyed("GET", TARGET, ": b\r\n")),
        ("a header with no colon", keyed("GET", TARGET, "X-A\r\n")),
        ("a method of odd letters", keyed("G(E)T", TARGET, "")),
        (
            "a space in the target",
            keyed("GET", "/proxy/recorded/a b", ""),
        ),
        (
            "a tab in the target",
            keyed("GET", "/proxy/recorded/a\tb", ""),
        ),
        (
            "a version that is none",
            "GET /proxy/recorded/a HTTP/9.9\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n"
                .to_owned(),
        ),
        ("HTTP/0.9", "GET /proxy/recorded/a\r\n\r\n".to_owned()),
        (
            "the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{host}".to_owned(),
        ),
        (
            "TLS",
            "\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03{host}\r\n\r\n".to_owned(),
        ),
    ] {
        cases.push(Case::refused(
            format!("line {name}"),
            request,
            &[0, 400, 404, 505],
            "",
        ));
    }
}

fn sizes(cases: &mut Vec<Case>) {
    let long = "a".repeat(70_000);
    let many: Vec<_> = (0..2_000)
        .map(|number| format!("X-{number}: y\r\n"))
        .collect();
    let many = many.concat();
    for (name, request) in [
        (
            "a target of 70 kB",
            keyed("GET", &format!("/proxy/recorded/{long}"), ""),
        ),
        (
            "a header of 700 kB",
            keyed("GET", TARGET, &format!("X-A: {}\r\n", long.repeat(10))),
        ),
        ("two thousand headers", keyed("GET", TARGET, &many)),
    ] {
        cases.push(Case::refused(
            format!("size {name}"),
            request,
            &[0, 400, 414, 431],
            "",
        ));
    }
}
