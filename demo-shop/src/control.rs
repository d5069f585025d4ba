//! The control port: lists scenarios and switches them while the shop runs.
//!
//! `GET /scenarios`, `PUT /scenarios/{name}` and `DELETE /scenarios/{name}`, on the loopback interface and without telemetry.

use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::chassis::error::Error;
use crate::scenarios::{Scenario, Switches};

pub(crate) fn router(switches: Switches) -> Router {
    Router::new()
        .route("/scenarios", get(list))
        .route("/scenarios/{name}", put(switch_on).delete(switch_off))
        .with_state(switches)
}

async fn list(State(switches): State<Switches>) -> Json<Value> {
    Json(switches.list().map(|(scenario, on)| describe(scenario, on)).into())
}

async fn switch_on(State(switches): State<Switches>, Path(name): Path<String>) -> Result<Json<Value>, Error> {
    switch(&switches, &name, true)
}

async fn switch_off(State(switches): State<Switches>, Path(name): Path<String>) -> Result<Json<Value>, Error> {
    switch(&switches, &name, false)
}

fn switch(switches: &Switches, name: &str, on: bool) -> Result<Json<Value>, Error> {
    let scenario: Scenario = name.parse().map_err(|unknown| Error::not_found(format!("{unknown}")))?;
    switches.set(scenario, on);
    Ok(Json(describe(scenario, on)))
}

fn describe(scenario: Scenario, on: bool) -> Value {
    json!({ "name": scenario.name(), "rule": scenario.rule(), "description": scenario.description(), "on": on })
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use super::*;
    use crate::chassis::testing::ask;

    #[tokio::test]
    async fn a_scenario_is_switched_on_listed_and_switched_off() {
        let switches = Switches::default();
        let router = router(switches.clone());
        ask(&router, Method::PUT, "/scenarios/chatty-cart", Value::Null).await;
        assert!(switches.is_on(Scenario::ChattyCart));
        let (_, list) = ask(&router, Method::GET, "/scenarios", Value::Null).await;
        assert_eq!(list[0]["on"], true);
        assert_eq!(list[1]["on"], false);
        ask(&router, Method::DELETE, "/scenarios/chatty-cart", Value::Null).await;
        assert!(!switches.is_on(Scenario::ChattyCart));
    }

    #[tokio::test]
    async fn an_unknown_scenario_is_named() {
        let (status, answer) = ask(&router(Switches::default()), Method::PUT, "/scenarios/x", Value::Null).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(answer["error"].as_str().unwrap().contains("`x`"));
    }
}
