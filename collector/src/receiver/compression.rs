//! Decompression of a body: what comes out is counted while it comes out, over all members or frames of the body, and
//! paid for before there is memory for it.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::body::{Admitted, admission};
use super::problem::Problem;
use crate::budget::Grant;
use crate::limits::{DECODER_BYTES, Limits, MAX_ZSTD_BODY_WINDOW_LOG};

/// The compressions that are read here, as headers name them.
pub(super) const ACCEPTED: &str = "identity,gzip,zstd";

/// How many bytes are asked for at a time.
const STEP_BYTES: usize = 64 << 10;

/// Whether headers that name `compression` say that a body is compressed.
pub(super) fn is_compressed(compression: &str) -> bool {
    !matches!(compression, "" | "identity")
}

/// Decompresses a body whose headers say that it is compressed as `compression`.
pub(super) fn decompress(body: Admitted, compression: &str, limits: &Limits) -> Result<Admitted, Problem> {
    if !is_compressed(compression) {
        return Ok(body);
    }
    let Admitted { bytes: compressed, mut grant, arrival } = body;
    let paid = grant.bytes();
    let bytes = match compression {
        "gzip" | "x-gzip" => {
            grant.grow(DECODER_BYTES).map_err(admission)?;
            read_all("gzip", MultiGzDecoder::new(&compressed[..]), &mut grant, limits)?
        }
        "zstd" => {
            grant.grow(DECODER_BYTES + (1 << MAX_ZSTD_BODY_WINDOW_LOG)).map_err(admission)?;
            let damaged = |error| damaged("zstd", &error);
            let mut decoder = ZstdDecoder::with_buffer(&compressed[..]).map_err(damaged)?;
            decoder.window_log_max(MAX_ZSTD_BODY_WINDOW_LOG).map_err(damaged)?;
            read_all("zstd", decoder, &mut grant, limits)?
        }
        other => return Err(Problem::unsupported_compression(other)),
    };
    // What came in and the decompressor are gone.
    debug_assert!(grant.bytes() >= paid + bytes.capacity());
    grant.shrink(grant.bytes() - bytes.capacity());
    Ok(Admitted { bytes: Bytes::from(bytes), grant, arrival })
}

/// Everything that comes out of `decoder`.
fn read_all(name: &str, mut decoder: impl Read, grant: &mut Grant, limits: &Limits) -> Result<Vec<u8>, Problem> {
    let limit = limits.decompressed_bytes;
    let mut bytes = Vec::new();
    loop {
        grant.reserve(&mut bytes, STEP_BYTES.min(limit + 1)).map_err(admission)?;
        let room = bytes.capacity().min(limit + 1) - bytes.len();
        let read = decoder.by_ref().take(room as u64).read_to_end(&mut bytes).map_err(|error| damaged(name, &error))?;
        if bytes.len() > limit {
            return Err(Problem::too_large(format!("the request is larger than {limit} bytes when decompressed")));
        }
        if read < room {
            return Ok(bytes);
        }
    }
}

fn damaged(name: &str, error: &io::Error) -> Problem {
    Problem::malformed(format!("the {name} data is damaged: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::budget::Budget;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    /// What comes out, or what is wrong; nothing stays taken.
    fn check(compression: &str, bytes: &[u8], limit: usize, budget: usize) -> Result<Vec<u8>, String> {
        let budget = Budget::new(budget);
        let mut grant = budget.grant();
        grant.grow(bytes.len()).unwrap();
        let body = Admitted { bytes: Bytes::copy_from_slice(bytes), grant, arrival: None };
        let limits = Limits { decompressed_bytes: limit, ..Limits::default() };
        let outcome = decompress(body, compression, &limits).map(|body| {
            assert!(budget.used() >= body.bytes.len());
            body.bytes.to_vec()
        });
        assert_eq!(budget.used(), 0);
        outcome.map_err(|problem| format!("{problem:?}"))
    }

    #[test]
    fn members_and_frames_one_after_another_are_one_request() {
        let members = [gzip(b"hello "), gzip(b"world")].concat();
        assert_eq!(check("gzip", &members, 11, 1 << 20).unwrap(), b"hello world");
        let frames = [zstd(b"hello "), zstd(b"world")].concat();
        assert_eq!(check("zstd", &frames, 11, 16 << 20).unwrap(), b"hello world");
    }

    #[test]
    fn a_bomb_stops_at_the_bound_even_over_several_parts() {
        for (name, compress) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
            let bombs = [compress(&vec![0; 1 << 20]), [compress(&[0; 600]), compress(&[0; 600])].concat()];
            for bomb in bombs {
                let problem = check(name, &bomb, 1000, 16 << 20).unwrap_err();
                assert!(problem.contains("larger than 1000 bytes when decompressed"), "{problem}");
            }
            assert_eq!(check(name, &compress(&[7; 1000]), 1000, 16 << 20).unwrap(), [7; 1000]);
        }
    }

    #[test]
    fn nothing_comes_out_that_is_not_paid_for() {
        let bytes = vec![0; 4 << 20];
        for (name, compressed) in [("gzip", gzip(&bytes)), ("zstd", zstd(&bytes))] {
            let problem = check(name, &compressed, 64 << 20, 3 << 20).unwrap_err();
            assert!(problem.contains("413"), "{problem}");
        }
    }

    #[test]
    fn a_window_too_large_to_keep_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(MAX_ZSTD_BODY_WINDOW_LOG + 1).unwrap();
        encoder.write_all(&[1; 100]).unwrap();
        let problem = check("zstd", &encoder.finish().unwrap(), 1000, 64 << 20).unwrap_err();
        assert!(problem.contains("the zstd data is damaged"), "{problem}");
    }

    #[test]
    fn damaged_and_torn_data_is_named() {
        for (name, good) in [("gzip", gzip(b"hello world")), ("zstd", zstd(b"hello world"))] {
            for bad in [&b"not compressed at all"[..], &good[..good.len() - 3]] {
                let problem = check(name, bad, 100, 16 << 20).unwrap_err();
                assert!(problem.contains("data is damaged"), "{problem}");
            }
        }
    }
}
