//! Providers whose API is behind TLS: the authority that proves their names, and servers that speak HTTP/2 and HTTP/1.1
//! well, or HTTP/2 as a test says.

mod api;
mod frames;
mod proof;

pub use api::{Call, SecureApi};
pub use frames::{Framed, Mood};
pub use proof::{Authority, Proof};
