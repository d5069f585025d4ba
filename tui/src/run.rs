//! The loop: waits for keys, pictures and time, lets `update` write the state, draws it, and does what is asked for.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::live::Source;
use crate::message::{Effect, Message};
use crate::state::State;
use crate::terminal::Terminal;
use crate::theme::Theme;
use crate::update::update;

/// The shortest time from one frame to the next.
const FRAME_TIME: Duration = Duration::from_millis(100);
/// From one tick of the clock to the next.
const TICK: Duration = Duration::from_secs(1);
/// The most traces that are fetched at once; a user who asks for more waits.
const MAX_FETCHES: usize = 4;

/// How the dashboard looks.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether colours may be used; `NO_COLOR` and `TERM=dumb` are for the caller to read.
    pub has_colour: bool,
}

/// Shows the dashboard until the user leaves, a signal ends it, or the terminal fails. The terminal is given back in
/// every case.
///
/// # Errors
/// When standard output is not a terminal, or writing to it fails.
pub async fn run(source: Arc<dyn Source>, options: Options) -> io::Result<()> {
    let theme = Theme::new(options.has_colour);
    let mut pictures = source.live();
    let mut terminal = Terminal::take()?;
    let first = pictures.borrow_and_update().clone();
    let mut state = State::new(first, terminal.size()?);
    let (answers, mut traces) = mpsc::channel(MAX_FETCHES);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut is_changed, mut has_source) = (true, true);
    let mut next_frame = Instant::now();
    loop {
        let message = tokio::select! {
            message = terminal.next() => message?,
            changed = pictures.changed(), if has_source => {
                has_source = changed.is_ok();
                Message::Live(pictures.borrow_and_update().clone())
            }
            Some(message) = traces.recv() => message,
            _ = ticks.tick() => Message::Tick(now_ns()),
            () = sleep_until(next_frame), if is_changed => {
                terminal.draw(&state, theme)?;
                is_changed = false;
                next_frame = Instant::now() + FRAME_TIME;
                continue;
            }
        };
        is_changed = true;
        match update(&mut state, message) {
            None => {}
            Some(Effect::Quit) => return Ok(()),
            Some(Effect::Look(view)) => source.look(view),
            Some(Effect::SetScenario { name, is_on }) => source.set_scenario(&name, is_on),
            Some(Effect::LoadTrace(trace_id)) => {
                let (source, answers) = (source.clone(), answers.clone());
                tokio::task::spawn_blocking(move || {
                    let answer = Message::Trace(trace_id, source.trace(trace_id));
                    // The receiver is gone only when the dashboard is.
                    let _ = answers.blocking_send(answer);
                });
            }
        }
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
