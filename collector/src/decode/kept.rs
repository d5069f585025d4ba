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
#[derive(Debug)]
pub(crate) struct Keeping<'a> {
    pub(crate) redaction: &'a Redaction,
    pub(crate) sealing: &'a mut Sealing,
}

/// None stands for a request of which nothing is to be dropped or sealed.
impl Keeping<'_> {
    /// OTLP as protobuf.
    pub(crate) fn protobuf(mut self, signal: Signal, request: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
        protobuf::kept(signal, request, &mut self)
    }

    /// OTLP as JSON, whatever its signal.
    pub(crate) fn json(mut self, request: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
        json::kept(request, &mut self)
    }

    /// Zipkin v2.
    pub(crate) fn zipkin(mut self, request: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
        zipkin::kept(request, &mut self)
    }

    fn attribute(&mut self, key: &str, value: &Value<'_>) -> Fate {
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
