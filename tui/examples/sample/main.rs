//! The dashboard over an invented shop, for screen work without a collector:
//! `cargo run -p spanlint-tui --example sample [empty] [chatty] [shared] [cyclic]`.

mod shop;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spanlint_graph::{TraceId, View, Waterfall};
use spanlint_tui::{Live, Options, Source, run};
use tokio::sync::watch;

/// Shows a new picture every second; scenarios switch at once.
struct Sample {
    pictures: watch::Sender<Arc<Live>>,
    scenarios: Mutex<[bool; 3]>,
    is_empty: bool,
}

impl Sample {
    fn show(&self, tick: u64) {
        let scenarios = *self.scenarios.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = if self.is_empty {
            Live { status: shop::status(scenarios), ..Live::default() }
        } else {
            shop::live(tick, scenarios)
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let live = Live { at_ns: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), ..shown };
        self.pictures.send_replace(Arc::new(live));
    }
}

impl Source for Sample {
    fn live(&self) -> watch::Receiver<Arc<Live>> {
        self.pictures.subscribe()
    }

    fn trace(&self, trace_id: TraceId) -> Option<Waterfall> {
        (trace_id == shop::PROOF).then(shop::waterfall)
    }

    fn look(&self, _view: View) {}

    fn set_scenario(&self, name: &str, is_on: bool) {
        let place = ["chatty-cart", "shared-database", "cyclic-dependency"].iter().position(|known| *known == name);
        if let Some(place) = place {
            self.scenarios.lock().unwrap_or_else(PoisonError::into_inner)[place] = is_on;
        }
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let sample = Arc::new(Sample {
        pictures: watch::Sender::new(Arc::default()),
        scenarios: Mutex::new([has("chatty"), has("shared"), has("cyclic")]),
        is_empty: has("empty"),
    });
    sample.show(0);
    let source = sample.clone();
    tokio::spawn(async move {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        for tick in 0.. {
            seconds.tick().await;
            sample.show(tick);
        }
    });
    run(source, Options { has_colour: std::env::var_os("NO_COLOR").is_none() }).await
}
