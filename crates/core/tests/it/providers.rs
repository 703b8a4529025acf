//! Addresses that a provider may not send us to.

use std::net::IpAddr;

use doorward_core::problem::Code;
use doorward_core::provider::{Manifest, Metadata, Provider, is_private_ip};

#[test]
fn no_address_that_a_public_provider_cannot_have_passes_for_public() {
    for private in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2001::1",
        "2002:7f00:1::",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(
            is_private_ip(private.parse::<IpAddr>().expect("an address")),
            "{private}"
        );
    }
    for public in [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.0.1",
        "198.20.0.1",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "::ffff:1.1.1.1",
    ] {
        assert!(
            !is_private_ip(public.parse::<IpAddr>().expect("an address")),
            "{public}"
        );
    }
}

fn told(base: &str, token_endpoint: &str) -> Result<Provider, Code> {
    let manifest = Manifest::fastio().and_then(|manifest| manifest.at_base(base));
    let metadata = Metadata {
        token_endpoint: Some(token_endpoint.to_owned()),
        ..Metadata::default()
    };
    Provider::resolve(&manifest.expect("a manifest"), Some(metadata))
        .map_err(|refusal| refusal.code)
}

#[test]
fn a_typed_private_address_allows_that_host_and_no_other_private_one() {
    for (base, endpoint) in [
        ("http://10.0.0.5", "http://10.0.0.5:81/token"),
        ("http://10.0.0.5", "https://login.example/token"),
        ("http://localhost:1", "http://127.0.0.1:2/token"),
        ("http://127.0.0.1:1", "http://[::1]:2/token"),
        ("https://api.example", "https://login.example/token"),
        ("https://api.example", "/token"),
    ] {
        assert!(told(base, endpoint).is_ok(), "{base} {endpoint}");
    }
    for (base, endpoint) in [
        ("http://10.0.0.5", "http://10.0.0.6/token"),
        ("http://10.0.0.5", "http://127.0.0.1:6379/"),
        ("http://10.0.0.5", "https://router/token"),
        ("http://10.0.0.5", "http://login.example/token"),
        ("http://10.0.0.5", "ftp://10.0.0.5/token"),
        ("https://api.example", "https://metadata.internal/token"),
        ("https://api.example", "https://printer.local./token"),
        ("https://api.example", "http://api.example/token"),
        ("https://api.example", "https://[::ffff:127.0.0.1]/token"),
        ("https://api.example", "https://0x7f000001/token"),
        ("https://api.example", "https://2130706433/token"),
        ("https://api.example", "//127.0.0.1/token"),
        ("https://api.example", "https://user@api.example/token"),
        ("https://api.example", "https://"),
    ] {
        assert_eq!(
            told(base, endpoint).err(),
            Some(Code::ProviderUnsafe),
            "{base} {endpoint}"
        );
    }
}

fn resolved(manifest: &str) -> Provider {
    let manifest = Manifest::parse(manifest).expect("a manifest");
    Provider::resolve(&manifest, None).expect("a provider")
}

const OWN: &str = r#"
name = "own"
title = "Own"
base = "https://own.example"
authorization_endpoint = "/authorize"
token_endpoint = "/token"
"#;

#[test]
fn a_manifest_says_how_an_error_begins_that_asks_for_a_new_credential() {
    let silent = resolved(OWN).upstream;
    assert!(silent.says_signed_out("Session expired"));
    let own = resolved(&format!("{OWN}[door]\nsigned_out = [\"Who are you\"]"));
    assert!(own.upstream.says_signed_out("Error: who are you?"));
    assert!(!own.upstream.says_signed_out("Session expired"));
    let never = resolved(&format!("{OWN}[door]\nsigned_out = []")).upstream;
    assert!(!never.says_signed_out("Session expired"));
    let every = Manifest::parse(&format!("{OWN}[door]\nsigned_out = [\"\"]"));
    assert_eq!(
        every.map_err(|refusal| refusal.code),
        Err(Code::ProviderUnknown)
    );
}

#[test]
fn a_connection_from_before_that_rule_has_the_usual_ones_or_those_of_the_program() {
    let before = |provider: &Provider| -> Provider {
        let mut stored = serde_json::to_value(provider).expect("JSON");
        let upstream = stored["upstream"].as_object_mut().expect("an object");
        assert!(upstream.remove("signed_out").is_some());
        serde_json::from_value(stored).expect("a provider")
    };
    let own = before(&resolved(OWN)).with_rules_of_today();
    assert_eq!(own.upstream.signed_out, None);
    assert!(own.upstream.says_signed_out("Session expired"));
    let fastio = Manifest::fastio().expect("a manifest");
    let fastio = Provider::resolve(&fastio, None).expect("a provider");
    let stored = before(&fastio);
    assert_eq!(stored.upstream.signed_out, None);
    assert_eq!(stored.with_rules_of_today(), fastio);
}
