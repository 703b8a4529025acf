//! Whether who answers at an address proves to be who it should be, and the words for where it does not.
//!
//! TLS decides that before anything of a request is sent. Libraries tell it somewhere inside their errors, and a person
//! can only help where they are told which of the reasons it was.

use std::error::Error;
use std::{io, iter};

use rustls::CertificateError;

/// As much of what a library says is shown: part of it may be the other side's words.
const MOST_SHOWN: usize = 160;

/// What keeps a host from being trusted, if that is why it was not reached: what follows its name in a sentence.
pub(crate) fn objection(error: &(dyn Error + 'static)) -> Option<String> {
    let error: &rustls::Error = causes(error).find_map(|cause| cause.downcast_ref())?;
    let rustls::Error::InvalidCertificate(reason) = error else {
        return Some(format!(
            "does not speak TLS as it should ({})",
            shown(error)
        ));
    };
    Some(format!("shows a certificate that {}", reason_of(reason)))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library may add reasons; each has words of its own"
)]
fn reason_of(reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer => "is signed by nobody this machine trusts".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has ended".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet".to_owned()
        }
        CertificateError::Revoked => "was withdrawn".to_owned(),
        other => format!("cannot be used ({})", shown(other)),
    }
}

fn shown(error: &impl ToString) -> String {
    let text = error.to_string();
    let letters = text.chars().filter(|letter| !letter.is_control());
    letters.take(MOST_SHOWN).collect()
}

/// An error and what is behind it. What an I/O error was made of is not its source: it stands in its place.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_however_deep_it_lies() {
        let refused = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, refused));
        assert_eq!(
            objection(&wrapped).as_deref(),
            Some("shows a certificate that has ended")
        );
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        let told = objection(&alert).expect("it is about TLS");
        assert!(
            told.starts_with("does not speak TLS as it should ("),
            "{told}"
        );
        assert_eq!(objection(&io::Error::other("a cable was pulled")), None);
    }
}
