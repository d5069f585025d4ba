//! What the shop sells on its first day.
//!
//! Search takes titles and prices from here, warehouse the stock; afterwards each keeps its own copy in its own database.

use crate::random::Random;

/// One product as it stands on opening day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) sku: String,
    pub(crate) title: String,
    pub(crate) category: &'static str,
    pub(crate) price_cents: i64,
    pub(crate) on_hand: i64,
}

/// What customers search for; every product has one of these in its title.
pub(crate) const THINGS: [(&str, &str); 12] = [
    ("lamp", "home"),
    ("chair", "home"),
    ("kettle", "kitchen"),
    ("mug", "kitchen"),
    ("notebook", "office"),
    ("pen", "office"),
    ("backpack", "travel"),
    ("bottle", "travel"),
    ("scarf", "clothing"),
    ("jacket", "clothing"),
    ("puzzle", "games"),
    ("kite", "games"),
];

const KINDS: [&str; 5] = ["plain", "green", "folding", "travel", "deluxe"];

/// Sixty products whose prices and stock follow from the seed.
pub(crate) fn products(seed: u64) -> Vec<Product> {
    let mut random = Random::fork(seed, 1);
    let mut products = Vec::with_capacity(THINGS.len() * KINDS.len());
    for (thing, category) in THINGS {
        for kind in KINDS {
            products.push(Product {
                sku: format!("{thing}-{kind}"),
                title: format!("{kind} {thing}"),
                category,
                price_cents: random.between(300, 12_000) as i64,
                on_hand: random.between(200, 400) as i64,
            });
        }
    }
    products
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_follow_the_seed() {
        assert_eq!(products(1), products(1));
        assert_ne!(products(1), products(2));
        assert_eq!(products(1).len(), 60);
    }
}
