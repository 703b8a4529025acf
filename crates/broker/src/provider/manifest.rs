//! Finding the manifest that a person means.

use std::path::Path;

use doorward_core::name::Name;
use doorward_core::problem::{Code, Refusal};
use doorward_core::provider::{Manifest, parse_base};

use crate::views::ProviderOffer;

/// Finds a provider by its name (built in, or `NAME.toml` in the folder), or takes an address as that of an OAuth
/// issuer to discover.
pub fn find(folder: &Path, provider: &str) -> Result<Manifest, Refusal> {
    if provider.contains("://") {
        let issuer = parse_base(provider)?;
        let name = name_for(issuer.host_str().unwrap_or("provider"));
        return Ok(Manifest::for_issuer(&name, issuer));
    }
    if provider == "fastio" {
        return Manifest::fastio();
    }
    let unknown = || {
        Refusal::new(
            Code::ProviderUnknown,
            format!("There is no provider `{provider}`."),
            format!(
                "Use `fastio`, the address of an OAuth issuer, or put a manifest at {}.",
                folder.display()
            ),
        )
    };
    // Only a name can be a file's name here: it has no separators.
    let name: Name = provider.parse().map_err(|_| unknown())?;
    let text =
        std::fs::read_to_string(folder.join(format!("{name}.toml"))).map_err(|_| unknown())?;
    let manifest = Manifest::parse(&text)?;
    parse_base(manifest.base.as_str())?;
    Ok(manifest)
}

/// What a person may connect: the providers that are built in, then those of the folder. A manifest that cannot be
/// used is left out here; asking for it by name says what is wrong with it.
#[must_use]
pub fn offers(folder: &Path) -> Vec<ProviderOffer> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut named: Vec<String> = files
        .filter_map(|file| {
            file.file_name()
                .to_str()?
                .strip_suffix(".toml")
                .map(str::to_owned)
        })
        .filter(|name| name != "fastio")
        .collect();
    named.sort();
    std::iter::once("fastio".to_owned())
        .chain(named)
        .filter_map(|name| find(folder, &name).ok())
        .map(ProviderOffer::from)
        .collect()
}

fn name_for(host: &str) -> String {
    let name: String = host
        .to_ascii_lowercase()
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || letter == '.' {
                letter
            } else {
                '-'
            }
        })
        .take(40)
        .collect();
    let name = name.trim_matches(['-', '.']).to_owned();
    if name.is_empty() {
        "provider".to_owned()
    } else {
        name
    }
}
