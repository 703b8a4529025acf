//! The addresses of consents that were started, so that a window names a consent and never an address: no page can
//! have the browser opened on anything else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tauri::Url;

use crate::problem::Problem;

/// The addresses of consents under way, by flow.
#[derive(Default)]
pub(crate) struct Consents(Mutex<HashMap<String, String>>);

impl Consents {
    pub(crate) fn started(&self, flow: &str, address: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(flow.to_owned(), address.to_owned());
    }

    pub(crate) fn ended(&self, flow: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(flow);
    }

    /// The address to open, if it is one that a browser may be given. It comes from a provider's metadata, and an
    /// opener given a `file:` or a made-up scheme starts programs (CVE-2025-6514).
    pub(crate) fn address(&self, flow: &str) -> Result<String, Problem> {
        let addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = addresses.get(flow).ok_or_else(|| {
            Problem::new(
                "consent_unknown",
                "There is no such consent under way.",
                "Connect again.",
            )
        })?;
        if is_web_address(address) {
            Ok(address.clone())
        } else {
            Err(Problem::new(
                "provider_unsafe",
                "The provider names a consent page that is no web address.",
                "Do not open it. Tell the provider.",
            ))
        }
    }
}

fn is_web_address(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_web_addresses_of_consents_under_way_are_opened() {
        let consents = Consents::default();
        consents.started("a", "https://go.example/connect?x=1");
        consents.started("b", "file:///etc/passwd");
        assert_eq!(
            consents.address("a").unwrap(),
            "https://go.example/connect?x=1"
        );
        assert_eq!(consents.address("b").unwrap_err().code, "provider_unsafe");
        consents.ended("a");
        assert_eq!(consents.address("a").unwrap_err().code, "consent_unknown");
    }
}
