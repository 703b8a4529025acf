//! Whether an answer belongs to a consent. The table of single cases stands beside the code.

use doorward_core::consent::{CallbackParameters, ConsentAnswer, check_answer};
use doorward_core::problem::Code;
use proptest::prelude::*;

use crate::world::World;

fn parameter() -> impl Strategy<Value = (String, String)> {
    let names = prop_oneof![
        4 => prop::sample::select(vec!["code", "state", "iss", "error"]).prop_map(str::to_owned),
        1 => ".{0,8}",
    ];
    let values = prop_oneof![
        4 => prop::sample::select(vec![
            "right", "wrong", "", "c", "https://api.fast.io", "https://api.fast.io/",
            "https://evil.example", "access_denied", "Right", "right ",
        ])
        .prop_map(str::to_owned),
        1 => ".{0,8}",
    ];
    (names, values)
}

proptest! {
    #[test]
    fn no_query_gives_a_code_without_the_right_state_once(
        pairs in prop::collection::vec(parameter(), 0..6),
        promised in any::<bool>(),
        late in any::<bool>(),
    ) {
        let mut world = World::new();
        let mut consent = world.consent("fastio", "ours").expect("a place");
        consent.provider.iss_promised = promised;
        let now = if late { consent.expires_at } else { world.now };
        let values = |name: &str| -> Vec<&str> {
            pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
        };
        let answer = CallbackParameters::new(pairs.clone());
        match check_answer(now, &consent, &answer) {
            Ok(ConsentAnswer::Code(code)) => {
                prop_assert_eq!(values("state"), vec!["right"]);
                prop_assert_eq!(values("code"), vec![code.expose()]);
                prop_assert!(values("error").iter().all(|error| error.is_empty()));
                prop_assert!(!late && !code.expose().is_empty());
                let issuer = values("iss");
                let is_ours = |given: &&str| given.trim_end_matches('/') == "https://api.fast.io";
                prop_assert!(issuer.iter().all(|given| given.is_empty() || is_ours(given)));
                prop_assert!(!promised || issuer.iter().any(is_ours));
            }
            Ok(ConsentAnswer::Refused(refusal)) => {
                let is_error = values("error").len() == 1 && values("state") != vec!["wrong"];
                prop_assert!(late || is_error, "{refusal:?}");
            }
            Err(refusal) => prop_assert_eq!(refusal.code, Code::ConsentMismatch),
        }
    }

    #[test]
    fn a_pasted_text_is_an_address_with_an_answer_or_is_refused(text in ".{0,60}") {
        if let Err(refusal) = CallbackParameters::from_pasted(&text) {
            prop_assert_eq!(refusal.code, Code::BadRequest);
        }
    }
}

#[test]
fn a_pasted_address_is_read_with_spaces_around_it() {
    let read = |text| CallbackParameters::from_pasted(text).is_ok();
    assert!(read(" http://127.0.0.1:9/callback?code=c&state=right\n"));
    assert!(read("http://127.0.0.1:9/callback?error=access_denied"));
    assert!(!read("http://127.0.0.1:9/callback"));
    assert!(!read("code=c&state=right"));
}
