//! ⊕: how facts add up, and how everything they refer to is found again. Nothing here knows what a fact means.

use std::collections::BTreeMap;

use super::Exemplars;
use super::histogram::{BUCKETS, Histogram};
use crate::marks::Location;
use crate::name::Name;

/// What can be folded: an associative, commutative ⊕ with `Default` as its neutral element.
pub trait Fold: Default {
    /// `self ⊕ other`.
    fn fold(&mut self, other: &Self);

    /// Shows every exemplar and name that it refers to.
    fn visit(&self, visitor: &mut dyn Visitor);
}

/// Who wants to know what facts refer to.
pub trait Visitor {
    /// The traces that prove one pattern.
    fn exemplars(&mut self, exemplars: &Exemplars);

    /// A name; one may come more than once.
    fn name(&mut self, name: Name);

    /// A number that adds up.
    fn count(&mut self, _count: u64) {}

    /// The key of a joint histogram's cell, as far as whether there can be such a cell.
    fn cell(&mut self, _is_possible: bool) {}

    /// A piece of memory of so many bytes that it owns, none of them where it owns none.
    fn memory(&mut self, _bytes: usize) {}
}

/// The key of a cell of a joint histogram, whose domain is finite.
pub trait Cell {
    /// Whether values can fall into it: buckets exist, shares are percent, indices lead somewhere.
    fn is_possible(&self) -> bool;
}

impl Cell for (u16, u16) {
    fn is_possible(&self) -> bool {
        self.0 < BUCKETS && self.1 < BUCKETS
    }
}

/// A key of facts: what it is called.
pub trait Key {
    /// Shows every name in the key.
    fn for_each_name(&self, visit: &mut dyn FnMut(Name));
}

impl Key for Name {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        visit(*self);
    }
}

impl Key for Location {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        [self.file, self.function].into_iter().for_each(visit);
    }
}

/// Counts stop at the greatest number instead of beginning again; that is associative and commutative, too.
impl Fold for u64 {
    fn fold(&mut self, other: &Self) {
        *self = self.saturating_add(*other);
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.count(*self);
    }
}

impl Fold for u128 {
    fn fold(&mut self, other: &Self) {
        *self = self.saturating_add(*other);
    }

    fn visit(&self, _: &mut dyn Visitor) {}
}

impl<const N: usize> Fold for [u64; N]
where
    Self: Default,
{
    fn fold(&mut self, other: &Self) {
        self.iter_mut().zip(other).for_each(|(sum, more)| sum.fold(more));
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        for count in self {
            count.visit(visitor);
        }
    }
}

/// How many entries a node of the standard library's trees has room for; half of it is used at least, but in the root.
const BTREE_NODE_ENTRIES: usize = 12;

/// A joint histogram; its domain is finite.
impl<K: Copy + Ord + Cell> Fold for BTreeMap<K, u64> {
    fn fold(&mut self, other: &Self) {
        for (&key, count) in other {
            self.entry(key).or_default().fold(count);
        }
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        let node_bytes = BTREE_NODE_ENTRIES * size_of::<(K, u64)>();
        visitor.memory(self.len().div_ceil(BTREE_NODE_ENTRIES / 2) * node_bytes);
        for (key, count) in self {
            visitor.cell(key.is_possible());
            count.visit(visitor);
        }
    }
}

impl Fold for Histogram {
    fn fold(&mut self, other: &Self) {
        self.merge(other);
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.memory(self.owned_bytes());
    }
}

impl Fold for Exemplars {
    fn fold(&mut self, other: &Self) {
        self.merge(other);
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.exemplars(self);
        self.owned_bytes().into_iter().for_each(|bytes| visitor.memory(bytes));
    }
}

/// Folds a struct field by field. Every field must be named, so that a new one is not forgotten.
macro_rules! fold_fields {
    ($facts:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::facts::Fold for $facts {
            fn fold(&mut self, other: &Self) {
                let Self { $($field),+ } = self;
                $($crate::facts::Fold::fold($field, &other.$field);)+
            }

            fn visit(&self, visitor: &mut dyn $crate::facts::Visitor) {
                let Self { $($field),+ } = self;
                $($crate::facts::Fold::visit($field, visitor);)+
            }
        }
    };
}
pub(super) use fold_fields;
