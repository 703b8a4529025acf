//! What the command promises as a whole: no way around a person.

use std::collections::BTreeSet;

use crate::world::World;

/// Every command, as it is typed.
const COMMANDS: &[&[&str]] = &[
    &[],
    &["serve"],
    &["status"],
    &["doctor"],
    &["unlock"],
    &["pin"],
    &["connect"],
    &["connections"],
    &["retry"],
    &["disconnect"],
    &["agents"],
    &["agents", "add"],
    &["requests"],
    &["approve"],
    &["deny"],
    &["answers"],
    &["answers", "take-back"],
    &["revoke"],
    &["pause"],
    &["resume"],
    &["release"],
    &["audit", "show"],
    &["audit", "verify"],
    &["audit", "export"],
    &["keys", "rotate"],
    &["pair"],
    &["token"],
];

/// All flags there are. One that is added is looked at here: none may answer for a person.
const FLAGS: &[&str] = &[
    "--about",
    "--agent",
    "--agent-name",
    "--all",
    "--always",
    "--ask",
    "--ask-each-time",
    "--base",
    "--connection",
    "--data-dir",
    "--deny",
    "--door",
    "--help",
    "--json",
    "--key-file",
    "--keys",
    "--lifetime",
    "--limit",
    "--may-manage-sign-in",
    "--method",
    "--metrics",
    "--min-valid",
    "--name",
    "--new-passphrase-file",
    "--no-browser",
    "--passphrase",
    "--passphrase-file",
    "--path",
    "--port",
    "--read-only",
    "--scope",
    "--tenant",
    "--tool",
    "--version",
    "--watch",
];

/// All variables that are read. None may answer for a person.
const VARIABLES: &[&str] = &[
    "DOORWARD_KEY",
    "DOORWARD_LOG",
    "DOORWARD_URL",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

#[test]
fn the_list_of_flags_is_whole_and_none_of_them_answers_for_a_person() {
    let world = World::new();
    let mut found = BTreeSet::new();
    for command in COMMANDS {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let help = world.run(&arguments).exits(0).stdout();
        let options = help.split("Options:").nth(1).unwrap_or_default();
        for word in options
            .lines()
            .filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")))
        {
            found.insert(word.trim_end_matches([',', ']', '.']).to_owned());
        }
    }
    let expected: BTreeSet<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    assert_eq!(found, expected);
    assert!(
        !found
            .iter()
            .any(|flag| flag.contains("pin") || flag.contains("yes") || flag.contains("force"))
    );
}

/// Reads the sources: the files that read the environment name what they read, in capitals and quotes.
#[test]
fn the_list_of_variables_is_whole_and_none_of_them_answers_for_a_person() {
    let mut found = BTreeSet::new();
    let mut folders = [
        concat!(env!("CARGO_MANIFEST_DIR"), "/src"),
        concat!(env!("CARGO_MANIFEST_DIR"), "/../host/src"),
    ]
    .map(std::path::PathBuf::from)
    .to_vec();
    let mut reads = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            if !["env::var", "with_env_var", "from_env", "env::vars"]
                .iter()
                .any(|reader| text.contains(reader))
            {
                continue;
            }
            reads.insert(path.file_name().unwrap().to_string_lossy().into_owned());
            let capitals = |word: &&str| {
                word.len() > 3
                    && word
                        .bytes()
                        .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            };
            found.extend(text.split('"').filter(capitals).map(str::to_owned));
        }
    }
    let expected: BTreeSet<String> = VARIABLES
        .iter()
        .map(|variable| (*variable).to_owned())
        .collect();
    assert_eq!(found, expected);
    let expected = ["agent_key.rs", "endpoint.rs", "folders.rs", "logs.rs"].map(str::to_owned);
    assert_eq!(
        reads,
        BTreeSet::from(expected),
        "these files alone read the environment"
    );
}
