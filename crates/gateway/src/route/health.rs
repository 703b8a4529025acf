//! `GET /healthz`: whether somebody answers here. It says nothing about the store or connections,
//! as who asks has shown no key.

use axum::response::Response;
use serde::Serialize;

use crate::VERSION;
use crate::ask::Call;
use crate::failure::Failure;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
}

pub(crate) async fn tell(call: &mut Call) -> Result<Response, Failure> {
    call.query(&[])?;
    super::json(&Health {
        status: "ok",
        version: VERSION,
    })
}
