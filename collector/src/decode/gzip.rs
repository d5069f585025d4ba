//! Decompression with a bound on what comes out, counted while it comes out and over all members of the input.
//!
//! Only gzip is known here; other encodings are refused by whoever reads the header that names them.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

/// The two bytes that every gzip member starts with.
pub const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why bytes could not be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GzipError {
    /// Not gzip, or damaged.
    #[error("the gzip data is damaged: {0}")]
    Damaged(String),
    /// More than the bound comes out.
    #[error("the request is larger than {limit} bytes when decompressed")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
}

/// Decompresses `bytes`, which may be several members one after another; never holds more than `limit` bytes.
pub fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, GzipError> {
    let mut decompressed = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(limit as u64 + 1)
        .read_to_end(&mut decompressed)
        .map_err(|error| GzipError::Damaged(error.to_string()))?;
    if decompressed.len() > limit { Err(GzipError::TooLarge { limit }) } else { Ok(decompressed) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn compress(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn members_one_after_another_are_one_request() {
        let members = [compress(b"hello "), compress(b"world")].concat();
        assert_eq!(decompress(&members, 11).unwrap(), b"hello world");
    }

    #[test]
    fn a_bomb_stops_at_the_bound_even_over_several_members() {
        let bomb = compress(&vec![0; 1 << 20]);
        assert_eq!(decompress(&bomb, 1000), Err(GzipError::TooLarge { limit: 1000 }));
        let members = [compress(&[0; 600]), compress(&[0; 600])].concat();
        assert_eq!(decompress(&members, 1000), Err(GzipError::TooLarge { limit: 1000 }));
    }

    #[test]
    fn damaged_and_torn_data_is_named() {
        let compressed = compress(b"hello world");
        for bad in [&b"not gzip at all"[..], &compressed[..compressed.len() - 3], b""] {
            assert!(matches!(decompress(bad, 100), Err(GzipError::Damaged(_))), "{bad:?}");
        }
    }
}
