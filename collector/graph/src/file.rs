//! The snapshot file (`.graph`): facts with the names they need, versioned and mergeable.
//!
//! Layout: the magic `SPLG`, the format version (u16, little-endian), the postcard encoding of facts and names sorted
//! by hash, and the XXH3-64 of all before it (little-endian). Equal facts give equal bytes.

use std::collections::{BTreeMap, BTreeSet};

use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::facts::{Exemplars, Facts, Fold as _, Visitor};
use crate::name::{Name, NameTable};
use crate::text::scrub;

const MAGIC: &[u8; 4] = b"SPLG";
/// The version of the format.
pub const VERSION: u16 = 2;
const HEADER_BYTES: usize = 6;
const CHECKSUM_BYTES: usize = 8;

/// Why bytes are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The magic is missing.
    #[error("not a spanlint snapshot")]
    NotASnapshot,
    /// Written by another version.
    #[error("snapshot format {0}, this spanlint reads {VERSION}: record it again")]
    Version(u16),
    /// Cut off or changed.
    #[error("damaged snapshot: {0}")]
    Damaged(String),
}

/// As they are read, or borrowed to be written: both are the same bytes.
#[derive(Serialize, Deserialize)]
struct Contents<F, T> {
    facts: F,
    names: BTreeMap<Name, T>,
}

/// Whether bytes begin as a snapshot does.
pub fn is_snapshot(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The bytes of a snapshot file.
pub fn write(facts: &Facts, names: &NameTable) -> Vec<u8> {
    let mut needed = BTreeSet::new();
    facts.for_each_name(&mut |name| {
        needed.insert(name);
    });
    encode(&Contents { facts, names: names.sorted(|name| needed.contains(&name)) })
}

fn encode(contents: &impl Serialize) -> Vec<u8> {
    const ENCODES: &str = "facts are plain values, which always encode";
    // Facts may take much of the memory that there is: their bytes take no more of it than they must.
    let length = postcard::serialize_with_flavor(contents, Size::default()).expect(ENCODES);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + length + CHECKSUM_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    let mut bytes = postcard::to_extend(contents, bytes).expect(ENCODES);
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    bytes
}

/// Reads a snapshot file.
pub fn read(bytes: &[u8]) -> Result<(Facts, NameTable), SnapshotError> {
    if !is_snapshot(bytes) {
        return Err(SnapshotError::NotASnapshot);
    }
    let damaged = |what: &str| SnapshotError::Damaged(what.to_owned());
    if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES {
        return Err(damaged("cut off"));
    }
    let version = u16::from_le_bytes([bytes[4], bytes[5]]);
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if xxh3_64(body).to_le_bytes() != checksum {
        return Err(damaged("its checksum does not match"));
    }
    let contents: Contents<Facts, Box<str>> =
        postcard::from_bytes(&body[HEADER_BYTES..]).map_err(|error| SnapshotError::Damaged(error.to_string()))?;
    // A file is as hostile as a span: what was not scrubbed before it was hashed was not written here.
    if contents.names.iter().any(|(&name, text)| Name::of(text) != name || scrub(text) != **text) {
        return Err(damaged("a name is not what its hash says"));
    }
    let mut soundness = Soundness { total: 0, has_impossible_cells: false };
    contents.facts.visit(&mut soundness);
    if soundness.has_impossible_cells {
        return Err(damaged("it has buckets that no value falls into"));
    }
    if soundness.total > u64::MAX.into() {
        return Err(damaged("it counts more than a system does in 500 years"));
    }
    let mut names = NameTable::default();
    names.extend(contents.names);
    Ok((contents.facts, names))
}

/// What reading alone does not show: each type checks its own shape.
struct Soundness {
    /// All counts together. As long as that is a `u64`, no sum of counts overflows.
    total: u128,
    has_impossible_cells: bool,
}

impl Visitor for Soundness {
    fn exemplars(&mut self, _: &Exemplars) {}

    fn name(&mut self, _: Name) {}

    fn count(&mut self, count: u64) {
        self.total = self.total.saturating_add(count.into());
    }

    fn cell(&mut self, is_possible: bool) {
        self.has_impossible_cells |= !is_possible;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{EdgeFacts, EdgeKey};
    use crate::span::{EdgeKind, NodeKey};

    #[test]
    fn hostile_names_are_refused() {
        let forged = |name: Name, text: &str| {
            let contents = Contents { facts: Facts::default(), names: BTreeMap::from([(name, text)]) };
            read(&encode(&contents))
        };
        assert!(forged(Name::of("cart"), "cart").is_ok());
        assert!(matches!(forged(Name::of("cart"), "evil"), Err(SnapshotError::Damaged(_))));
        assert!(matches!(forged(Name::of("\u{1b}[2J"), "\u{1b}[2J"), Err(SnapshotError::Damaged(_))));
    }

    #[test]
    fn impossible_numbers_are_refused() {
        let forged = |change: &dyn Fn(&mut EdgeFacts)| {
            let mut facts = Facts::default();
            let key = EdgeKey { caller: NodeKey::Client, callee: NodeKey::Unknown, kind: EdgeKind::Http };
            change(facts.environments.entry(Name::EMPTY).edges.entry(key));
            read(&write(&facts, &NameTable::default())).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(forged(&|edge| (edge.calls, edge.traces) = (u64::MAX - 1, 1)), Ok(()));
        let counts = forged(&|edge| (edge.calls, edge.traces) = (u64::MAX, 1)).unwrap_err();
        assert!(counts.contains("500 years"), "{counts}");
        assert_eq!(forged(&|edge| *edge.per_request.entry((1919, 0)).or_default() = 1), Ok(()));
        let cells = forged(&|edge| *edge.per_request.entry((0, 1920)).or_default() = 1).unwrap_err();
        assert!(cells.contains("buckets"), "{cells}");
    }

    #[test]
    fn damage_is_told() {
        let bytes = write(&Facts::default(), &NameTable::default());
        assert_eq!(read(&bytes).unwrap().0, Facts::default());
        assert_eq!(read(b"{}").unwrap_err(), SnapshotError::NotASnapshot);
        for length in 4..bytes.len() {
            assert!(read(&bytes[..length]).is_err());
        }
        let mut other = bytes.clone();
        other[4] = 9;
        assert_eq!(read(&other).unwrap_err(), SnapshotError::Version(9));
        let last = bytes.len() - CHECKSUM_BYTES - 1;
        other.clone_from(&bytes);
        other[last] ^= 1;
        assert!(matches!(read(&other), Err(SnapshotError::Damaged(_))));
    }
}
