//! Calls with an access token that tell something about a connection: whether the token is good, whose account it
//! is, which session it belongs to. All of them may fail without harm.

use doorward_core::connection::Account;
use doorward_core::provider::Provider;
use doorward_core::secret::AccessToken;
use serde_json::Value;
use url::Url;

use super::http::Providers;

/// What the provider's own check says of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is good.
    Good,
    /// It is not.
    Refused,
    /// It could not be told.
    Unknown,
}

/// Asks the provider whether an access token is good.
pub async fn check(providers: &Providers, provider: &Provider, access: &AccessToken) -> Checked {
    let Some(address) = &provider.check else {
        return Checked::Unknown;
    };
    let request = providers
        .client(provider.addresses)
        .get(address.clone())
        .bearer_auth(access.expose());
    match providers.send(request).await {
        Ok(reply) if (200..300).contains(&reply.status) => {
            let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
            if body.is_some_and(|body| is_success(&body)) {
                Checked::Good
            } else {
                Checked::Unknown
            }
        }
        Ok(reply) if reply.status == 401 => Checked::Refused,
        Ok(_) | Err(_) => Checked::Unknown,
    }
}

/// Fast.io says `result` in every answer, and a failure can come with HTTP 200. Others do not say it.
fn is_success(body: &Value) -> bool {
    match body.get("result") {
        None | Some(Value::Bool(true)) => true,
        Some(Value::String(text)) => text == "yes",
        Some(_) => false,
    }
}

/// Asks whose account it is.
pub async fn account(
    providers: &Providers,
    provider: &Provider,
    access: &AccessToken,
) -> Option<Account> {
    let body = get(providers, provider, provider.account.as_ref()?, access).await?;
    let person = ["response", "user"]
        .into_iter()
        .fold(&body, |inner, name| inner.get(name).unwrap_or(inner));
    let text = |names: &[&str]| names.iter().find_map(|name| plain(person.get(name)?));
    let id = text(&["id", "user_id", "sub"])?;
    let label =
        text(&["email_address", "email", "name", "first_name"]).unwrap_or_else(|| id.clone());
    Some(Account {
        id,
        label: label
            .chars()
            .filter(|letter| !letter.is_control())
            .take(120)
            .collect(),
    })
}

/// Finds the session with the device name that was sent: the documentation does not say that a token reply names it.
pub async fn session(
    providers: &Providers,
    provider: &Provider,
    access: &AccessToken,
    device_name: &str,
) -> Option<String> {
    let body = get(providers, provider, provider.sessions.as_ref()?, access).await?;
    find_session(&body, device_name)
}

fn find_session(value: &Value, device_name: &str) -> Option<String> {
    match value {
        Value::Object(fields) => {
            let is_it = fields.get("device_name").and_then(Value::as_str) == Some(device_name);
            let id = ["session_id", "id"]
                .iter()
                .find_map(|name| plain(fields.get(*name)?));
            id.filter(|_| is_it).or_else(|| {
                fields
                    .values()
                    .find_map(|inner| find_session(inner, device_name))
            })
        }
        Value::Array(items) => items
            .iter()
            .find_map(|inner| find_session(inner, device_name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

async fn get(
    providers: &Providers,
    provider: &Provider,
    address: &Url,
    access: &AccessToken,
) -> Option<Value> {
    let request = providers
        .client(provider.addresses)
        .get(address.clone())
        .bearer_auth(access.expose());
    let reply = providers
        .send(request)
        .await
        .ok()
        .filter(|reply| (200..300).contains(&reply.status))?;
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    is_success(&body).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_session_is_found_however_the_list_is_wrapped() {
        let list = json!({"response": {"sessions": [
            {"session_id": "a", "device_name": "x"},
            {"id": 7, "device_name": "doorward-1"},
        ]}});
        assert_eq!(find_session(&list, "doorward-1").as_deref(), Some("7"));
        assert_eq!(find_session(&list, "other"), None);
    }
}
