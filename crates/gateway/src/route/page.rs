//! `GET /oauth/device`: the page that a person is sent to. It says where the answer is given.
//!
//! No page of ours can approve anything: whatever runs in the browser could press its button. So
//! the page has no form and no script, asks the broker nothing, and repeats only a code that looks
//! like one. It reveals neither whether the request exists nor who made it.

use axum::body::Body;
use axum::response::Response;
use doorward_core::pairing::normalised_user_code;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS};
use url::form_urlencoded;

use crate::ask::Call;
use crate::failure::Failure;

const PAGE: &str = include_str!("page.html");
pub(super) const STYLE: &str = include_str!("page.css");
/// The style is allowed by its SHA-256, and nothing else is.
const POLICY: &str = "default-src 'none'; style-src 'sha256-COlM2hvojtQeYOyJQp/I6QpJRSL8OG+Rf1TROSsbqTI='; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn show(call: &mut Call) -> Result<Response, Failure> {
    let query = call.head.uri.query().unwrap_or_default();
    let mut codes =
        form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "user_code");
    let code = codes.next().and_then(|(_, typed)| well_formed(&typed));
    Ok(still(page(code.as_deref())))
}

/// A page that can do nothing but be read.
pub(super) fn still(page: String) -> Response {
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A user code in its one spelling, if that is what the text is: letters and a dash, so that it
/// needs no escaping.
fn well_formed(typed: &str) -> Option<String> {
    let code = normalised_user_code(typed);
    let is_code = code.len() == 9
        && code.bytes().enumerate().all(|(at, byte)| match at {
            4 => byte == b'-',
            _ => byte.is_ascii_uppercase(),
        });
    let says_no_more = typed.chars().filter(char::is_ascii_alphanumeric).count() == 8
        && typed
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || " -".contains(letter));
    (is_code && says_no_more).then_some(code)
}

fn page(code: Option<&str>) -> String {
    let shown = code.map_or_else(String::new, |code| {
        format!(
            "<p class=\"code\">Doorward must show this code. If it shows another, say no. \
             <strong>{code}</strong></p>"
        )
    });
    PAGE.replace("{style}", STYLE)
        .replace("{code}", &shown)
        .replace("{argument}", code.unwrap_or("CODE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_code_is_repeated() {
        assert_eq!(well_formed("bcdf ghjk").as_deref(), Some("BCDF-GHJK"));
        for other in [
            "",
            "BCDF-GHJ",
            "BCDF-GHJKL",
            "BCDF-GHJ1",
            "BCDF<b>GHJK",
            "BCDFGHJK\u{202E}",
        ] {
            assert_eq!(well_formed(other), None, "{other}");
        }
    }

    #[test]
    fn the_style_is_the_one_that_the_policy_allows() {
        use base64::Engine as _;
        use sha2::Digest as _;
        let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(STYLE));
        assert!(
            POLICY.contains(&format!("'sha256-{hash}'")),
            "the policy must allow {hash}"
        );
    }

    #[test]
    fn the_page_can_do_nothing() {
        for code in [None, Some("BCDF-GHJK")] {
            let page = page(code);
            assert!(
                !page.contains('{') || page.contains(STYLE),
                "every placeholder is filled"
            );
            for active in [
                "<form", "<script", "<button", "<input", "<a ", "src=", "href=", "http",
            ] {
                assert!(!page.contains(active), "{active}");
            }
        }
        assert!(page(Some("BCDF-GHJK")).contains("doorward approve BCDF-GHJK"));
        assert!(!page(None).contains("class=\"code\""));
    }
}
