//! The shop's services and their table. A new one is a file here and a line in [`SERVICES`].

mod cart;
mod gateway;
mod logistics;
mod notification;
mod order_processing;
mod order_taking;
mod payment;
mod recommendation;
mod search;
mod user;
mod warehouse;
mod wishlist;

use crate::chassis::Spec;

/// The name of the only service that customers reach.
pub(crate) const GATEWAY: &str = gateway::SPEC.name;

/// Every service of the shop.
pub(crate) const SERVICES: [Spec; 12] = [
    gateway::SPEC,
    user::SPEC,
    search::SPEC,
    cart::SPEC,
    wishlist::SPEC,
    order_taking::SPEC,
    order_processing::SPEC,
    payment::SPEC,
    logistics::SPEC,
    warehouse::SPEC,
    notification::SPEC,
    recommendation::SPEC,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names = SERVICES.map(|spec| spec.name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
