//! Every bound on what comes from outside, by name.
//!
//! Receivers and readers take these as values ([`Limits`]), so that a test can reach a bound with little input; the
//! constants are the defaults. What goes over a bound is refused by name or counted, never cut in silence.

use std::time::Duration;

/// The most bytes of one request as it arrives, before decompression.
pub const MAX_REQUEST_BYTES: usize = 16 << 20;

/// The most bytes of one request after decompression, over all its gzip members or zstd frames.
pub const MAX_DECOMPRESSED_BYTES: usize = 32 << 20;

/// The most spans, log records and metrics of one request.
pub const MAX_REQUEST_RECORDS: u64 = 100_000;

/// The most memory that decompressing a request with zstd may look back in, as a power of two: what RFC 9659 lets a
/// sender over HTTP use.
pub const MAX_ZSTD_BODY_WINDOW_LOG: u32 = 23;

/// What a decompressor takes beside what it looks back in and what comes out of it.
pub const DECODER_BYTES: usize = 256 << 10;

/// The most memory that a collector takes, where nobody says otherwise.
pub const MEMORY_BYTES: usize = 512 << 20;

/// Of the memory, the part that requests take until the owner of the graph has them: one in this many. The rest is
/// shared by pending and stored traces, facts and names.
pub const REQUEST_SHARE: usize = 4;

/// The most bytes of one document of a file: a line, an object over many lines, a protobuf file.
pub const MAX_DOCUMENT_BYTES: usize = 512 << 20;

/// The most bytes of one file after decompression.
pub const MAX_FILE_BYTES: u64 = 16 << 30;

/// The most files that one call of the reader opens.
pub const MAX_FILES: usize = 100_000;

/// The most files that are read at the same time.
pub const MAX_READERS: usize = 8;

/// The most memory that reading back may take in a file compressed with zstd, as a power of two; what zstd itself allows
/// where nobody asks for more.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// How deep folders are followed.
pub const MAX_FOLDER_DEPTH: usize = 32;

/// How many bad records of a file are kept with place and reason; the rest are only counted.
pub const MAX_BAD_RECORDS: usize = 8;

/// How deep protobuf messages may nest; the limit of the public protobuf types.
pub const MAX_PROTOBUF_DEPTH: u32 = 100;

/// How deep arrays and objects of JSON may nest in each other; the limit of `serde_json`.
pub const MAX_JSON_DEPTH: u32 = 127;

/// The most attributes of one span or resource; OpenTelemetry's own default is 128.
pub const MAX_ATTRIBUTES: usize = 1024;

/// The most links of one span; OpenTelemetry's own default is 128, large batch receives have a few hundred.
pub const MAX_LINKS: usize = 1024;

/// The most processes of one trace in Jaeger's JSON.
pub const MAX_PROCESSES: usize = 65_536;

/// The most bytes of JSON text that an array, a map or bytes become.
pub const MAX_COMPOSITE_BYTES: usize = 64 << 10;

/// The most bytes of a span's name in a refusal.
pub const MAX_REFUSED_NAME_BYTES: usize = 128;

/// The most connections that one listener serves at a time; more wait in the system's queue.
pub const MAX_CONNECTIONS: usize = 1024;

/// The most requests in flight on one HTTP/2 connection.
pub const MAX_CONCURRENT_STREAMS: u32 = 128;

/// The most streams of one HTTP/2 connection that a client may reset before they were taken up.
pub const MAX_RESET_STREAMS: usize = 64;

/// The most bytes of all headers of one request.
pub const MAX_HEADER_BYTES: u32 = 16 << 10;

/// The most headers of one HTTP/1 request.
pub const MAX_HEADERS: usize = 64;

/// The size of an HTTP/2 frame; large frames cost less per byte.
pub const HTTP2_FRAME_BYTES: u32 = 1 << 20;

/// How many bytes an HTTP/2 client may send ahead, on one stream and on the connection.
pub const HTTP2_WINDOW_BYTES: u32 = 1 << 20;

/// How long an HTTP/1 client may take to send the headers of a request, idle time between two requests included.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take to send the body of a request: as long as OTLP's exporters wait for the answer. What has
/// arrived takes memory meanwhile.
pub const BODY_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request waits for memory before its body is read. Until then nothing of it is kept, and its sender is slowed
/// by what the network buffers.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How long a connection may be silent; HTTP/2 clients answer pings meanwhile.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// How long it may be silent while others wait for its place.
pub const CROWDED_IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// How often an HTTP/2 client is pinged, and how long it may take to answer.
pub const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How long requests in flight may take to finish at shutdown.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The bounds that tests make small.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// [`MAX_REQUEST_BYTES`].
    pub request_bytes: usize,
    /// [`MAX_DECOMPRESSED_BYTES`].
    pub decompressed_bytes: usize,
    /// [`MAX_REQUEST_RECORDS`].
    pub request_records: u64,
    /// [`MAX_DOCUMENT_BYTES`].
    pub document_bytes: usize,
    /// [`MAX_FILE_BYTES`].
    pub file_bytes: u64,
    /// [`MAX_CONNECTIONS`].
    pub connections: usize,
    /// [`IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// [`PATIENCE`].
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: MAX_REQUEST_BYTES,
            decompressed_bytes: MAX_DECOMPRESSED_BYTES,
            request_records: MAX_REQUEST_RECORDS,
            document_bytes: MAX_DOCUMENT_BYTES,
            file_bytes: MAX_FILE_BYTES,
            connections: MAX_CONNECTIONS,
            idle_timeout: IDLE_TIMEOUT,
            patience: PATIENCE,
        }
    }
}
