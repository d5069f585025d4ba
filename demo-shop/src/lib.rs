//! A small web shop of twelve services that speaks OpenTelemetry.
//!
//! An API gateway and eleven services, each with its own port and its own database, a bus between them and a payment
//! provider outside. The shop is healthy unless a [`Scenario`] is switched on. It knows nothing of the linter that watches
//! it: whatever receives OTLP can.
//!
//! ```no_run
//! # async fn demo() -> Result<(), spanlint_demo_shop::ShopError> {
//! use spanlint_demo_shop::{LoadPlan, Scenario, Shop, ShopConfig};
//!
//! let shop = Shop::start(ShopConfig::new("http://127.0.0.1:4317")).await?;
//! shop.switches().set(Scenario::ChattyCart, true);
//! let summary = shop.run_load(LoadPlan::Counted { requests: 500 }).await;
//! assert_eq!(summary.failures, 0);
//! shop.shutdown().await
//! # }
//! ```

mod catalog;
mod chassis;
mod control;
mod load;
mod provider;
mod random;
mod scenarios;
mod services;
mod shop;
#[cfg(test)]
mod tests;

pub use chassis::telemetry::OtlpProtocol;
pub use load::{LoadHandle, LoadPlan, LoadSummary};
pub use scenarios::{Scenario, Switches, UnknownScenario};
pub use shop::{Shop, ShopConfig, ShopError};
