//! Customers and their sessions.
//!
//! Owns `users` and `sessions`; calls nobody. Passwords are kept as salted PBKDF2 verifiers and session tokens as digests,
//! so that the database holds nothing that opens an account. Neither they nor addresses are ever part of a path.

mod store;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use pbkdf2::hmac::digest::Digest;
use pbkdf2::{pbkdf2_hmac, sha2::Sha256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::chassis::error::Error;
use crate::chassis::{Chassis, Service, Spec};
use store::Store;

pub(super) const SPEC: Spec = Spec { name: "user", owner: "storefront", version: "2.3.1", instances: 2, build };

fn build(chassis: &Chassis) -> Result<Service, Error> {
    Ok(Service::new(router(Store::new(chassis.database()?)?)))
}

fn router(store: Store) -> Router {
    Router::new()
        .route("/users", post(register))
        .route("/sessions", post(log_in).delete(log_out))
        .route("/sessions/verify", post(verify))
        .route("/contacts/{customer}", get(contact))
        .with_state(store)
}

#[derive(Deserialize)]
struct Registration {
    name: String,
    contact: String,
    password: String,
}

async fn register(State(store): State<Store>, Json(new): Json<Registration>) -> Result<Json<Value>, Error> {
    if !new.contact.contains('@') || new.password.len() < 8 {
        return Err(Error::invalid("an address and a password of 8 or more characters are needed"));
    }
    let salt = random_hex()?;
    let verifier = stretch(new.password, salt.clone()).await?;
    let number = store.add(new.name, new.contact, salt, verifier).await?;
    let number = number.ok_or_else(|| Error::conflict("there is an account for this address"))?;
    Ok(Json(json!({ "customer": customer(number) })))
}

#[derive(Deserialize)]
struct LogIn {
    contact: String,
    password: String,
}

async fn log_in(State(store): State<Store>, Json(log_in): Json<LogIn>) -> Result<Json<Value>, Error> {
    let account = store.account(log_in.contact).await?.ok_or_else(Error::unauthorized)?;
    if stretch(log_in.password, account.salt).await? != account.verifier {
        return Err(Error::unauthorized());
    }
    let token = random_hex()?;
    store.open_session(&token, account.number).await?;
    Ok(Json(json!({ "customer": customer(account.number), "session": token })))
}

#[derive(Serialize, Deserialize)]
struct Session {
    session: String,
}

async fn verify(State(store): State<Store>, Json(session): Json<Session>) -> Result<Json<Value>, Error> {
    let number = store.session(&session.session).await?.ok_or_else(Error::unauthorized)?;
    Ok(Json(json!({ "customer": customer(number) })))
}

async fn log_out(State(store): State<Store>, Json(session): Json<Session>) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "closed": store.close_session(&session.session).await? })))
}

async fn contact(State(store): State<Store>, Path(customer): Path<String>) -> Result<Json<Contact>, Error> {
    let number = customer.strip_prefix('u').and_then(|number| number.parse().ok());
    let number: i64 = number.ok_or_else(|| Error::invalid("this is not a customer"))?;
    store.contact(number).await?.map(Json).ok_or_else(|| Error::not_found("there is no such customer"))
}

fn customer(number: i64) -> String {
    format!("u{number}")
}

fn random_hex() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(error.to_string()))?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from(b"0123456789abcdef"[usize::from(digit)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Few rounds, because the shop is to be watched, not attacked; real ones need hundreds of thousands.
const ROUNDS: u32 = 1_000;

async fn stretch(password: String, salt: String) -> Result<String, Error> {
    let stretching = tokio::task::spawn_blocking(move || {
        let mut verifier = [0; 32];
        pbkdf2_hmac::<Sha256>(password.as_bytes(), salt.as_bytes(), ROUNDS, &mut verifier);
        hex(&verifier)
    });
    stretching.await.map_err(Error::internal)
}

fn digest(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

struct Account {
    number: i64,
    salt: String,
    verifier: String,
}

#[derive(Serialize)]
struct Contact {
    name: String,
    contact: String,
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use super::*;
    use crate::chassis::database::Database;
    use crate::chassis::testing::ask;

    #[tokio::test]
    async fn a_customer_registers_logs_in_and_leaves() {
        let router = router(Store::new(Database::in_memory("user")).unwrap());
        let new = json!({ "name": "Ada", "contact": "ada@shop.example", "password": "correct horse" });
        let (_, answer) = ask(&router, Method::POST, "/users", new.clone()).await;
        assert_eq!(answer, json!({ "customer": "u1" }));
        assert_eq!(ask(&router, Method::POST, "/users", new.clone()).await.0, StatusCode::CONFLICT);

        let wrong = json!({ "contact": "ada@shop.example", "password": "wrong horse" });
        assert_eq!(ask(&router, Method::POST, "/sessions", wrong).await.0, StatusCode::UNAUTHORIZED);
        let (_, answer) = ask(&router, Method::POST, "/sessions", new).await;
        let session = json!({ "session": answer["session"] });
        let (_, answer) = ask(&router, Method::POST, "/sessions/verify", session.clone()).await;
        assert_eq!(answer, json!({ "customer": "u1" }));
        ask(&router, Method::DELETE, "/sessions", session.clone()).await;
        assert_eq!(ask(&router, Method::POST, "/sessions/verify", session).await.0, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn the_database_keeps_neither_password_nor_token() {
        let verifier = stretch("correct horse".to_owned(), "salt".to_owned()).await.unwrap();
        assert!(!verifier.contains("horse"));
        assert_ne!(digest("token"), "token");
    }
}
