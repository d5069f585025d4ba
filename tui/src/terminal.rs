//! The terminal: raw mode, the other screen, keys, signals. Nothing else in this crate knows crossterm.
//!
//! Whatever ends the dashboard (a key, a signal, an error, a panic), the terminal is given back as it was.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::execute;
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use futures_util::StreamExt as _;
use ratatui::backend::CrosstermBackend;

use crate::message::{Direction, Key, Message};
use crate::state::State;
use crate::theme::Theme;
use crate::view::view;

/// Bytes that one frame may take before it is written in parts.
const FRAME_BYTES: usize = 64 * 1024;

/// Whether the terminal is taken, for whoever has to give it back.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, taken; dropping it gives it back.
pub(crate) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    events: EventStream,
    #[cfg(unix)]
    signals: Signals,
}

/// The signals that end the dashboard.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Terminal {
    /// Takes the terminal.
    pub(crate) fn take() -> io::Result<Self> {
        restore_on_panic();
        #[cfg(unix)]
        let signals = {
            use tokio::signal::unix::{SignalKind, signal};
            Signals {
                terminate: signal(SignalKind::terminate())?,
                hang_up: signal(SignalKind::hangup())?,
                interrupt: signal(SignalKind::interrupt())?,
            }
        };
        enable_raw_mode()?;
        IS_TAKEN.store(true, Ordering::SeqCst);
        let taken = execute!(io::stdout(), EnterAlternateScreen, Hide).and_then(|()| {
            let writer = BufWriter::with_capacity(FRAME_BYTES, io::stdout());
            ratatui::Terminal::new(CrosstermBackend::new(writer))
        });
        match taken {
            Ok(inner) => Ok(Self {
                inner,
                events: EventStream::new(),
                #[cfg(unix)]
                signals,
            }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Columns and rows.
    pub(crate) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.inner.size()?;
        Ok((size.width, size.height))
    }

    /// Draws the state, as one update of the screen.
    pub(crate) fn draw(&mut self, state: &State, theme: Theme) -> io::Result<()> {
        crossterm::queue!(self.inner.backend_mut(), BeginSynchronizedUpdate)?;
        self.inner.draw(|frame| view(state, theme, frame))?;
        crossterm::queue!(self.inner.backend_mut(), EndSynchronizedUpdate)?;
        self.inner.backend_mut().flush()
    }

    /// The next thing that the user or the system says. A closed terminal and a signal to end are an interrupt.
    pub(crate) async fn next(&mut self) -> io::Result<Message> {
        loop {
            let event = {
                #[cfg(unix)]
                {
                    let signals = &mut self.signals;
                    tokio::select! {
                        event = self.events.next() => event,
                        _ = signals.terminate.recv() => None,
                        _ = signals.hang_up.recv() => None,
                        _ = signals.interrupt.recv() => None,
                    }
                }
                #[cfg(not(unix))]
                self.events.next().await
            };
            match event.transpose()? {
                None => return Ok(Message::Key(Key::Interrupt)),
                Some(Event::Resize(columns, rows)) => return Ok(Message::Resize(columns, rows)),
                Some(Event::Key(event)) => {
                    if let Some(key) = key(event) {
                        return Ok(Message::Key(key));
                    }
                }
                Some(_) => {}
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, once. Errors have nowhere to go: whoever reads them is behind the terminal.
fn give_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), EndSynchronizedUpdate, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// A panic message belongs on the screen that the user came from.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            report(panic);
        }));
    });
}

fn key(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let is_shifted = event.modifiers.contains(KeyModifiers::SHIFT);
    let step = |direction| if is_shifted { Key::Pan(direction) } else { Key::Move(direction) };
    Some(match event.code {
        KeyCode::Char('c') if event.modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
        KeyCode::Char(_) if event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => return None,
        KeyCode::Char(character) => Key::Char(character),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab | KeyCode::BackTab => Key::Tab,
        KeyCode::Up => step(Direction::Up),
        KeyCode::Down => step(Direction::Down),
        KeyCode::Left => step(Direction::Left),
        KeyCode::Right => step(Direction::Right),
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}
