//! Requests as they are kept on disk: as they came, but without the attributes that their owner wants dropped, and with
//! seals where something is confidential.
//!
//! It goes by the places of texts in a format, not by what is read of them, so that nothing that nobody reads yet slips
//! through. A request that cannot be decoded is no input: it was refused before.

mod json;
mod parts;
mod protobuf;
#[cfg(test)]
mod tests;
mod zipkin;

use spanlint_graph::span::Value;
use spanlint_graph::{Redaction, Sealing};

use super::{DecodeError, Signal};

/// What becomes of texts that are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeping<'a> {
    pub(crate) redaction: &'a Redaction,
    pub(crate) sealing: &'a Sealing,
}

impl Keeping<'_> {
    /// OTLP as protobuf.
    pub(crate) fn protobuf(self, signal: Signal, request: &[u8]) -> Result<Vec<u8>, DecodeError> {
        protobuf::kept(signal, request, self)
    }

    /// OTLP as JSON, whatever its signal.
    pub(crate) fn json(self, request: &[u8]) -> Result<Vec<u8>, DecodeError> {
        json::kept(request, self)
    }

    /// Zipkin v2.
    pub(crate) fn zipkin(self, request: &[u8]) -> Result<Vec<u8>, DecodeError> {
        zipkin::kept(request, self)
    }

    fn attribute(self, key: &str, value: &Value<'_>) -> Fate {
        if self.redaction.covers(key) {
            return Fate::Dropped;
        }
        self.sealing.value(key, &value.to_text()).map_or(Fate::Kept, Fate::Sealed)
    }
}

/// What becomes of an attribute.
enum Fate {
    Kept,
    Dropped,
    /// Its value is this text.
    Sealed(String),
}
