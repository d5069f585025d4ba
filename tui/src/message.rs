//! Everything that can happen to the dashboard, and everything that it can ask for.

use std::sync::Arc;

use spanlint_graph::{TraceId, View, Waterfall};

use crate::live::Live;

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// A key was pressed.
    Key(Key),
    /// Time went by; Unix time in nanoseconds.
    Tick(u64),
    /// A new picture.
    Live(Arc<Live>),
    /// The answer to [`Effect::LoadTrace`].
    Trace(TraceId, Option<Waterfall>),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
}

/// A key, as far as the dashboard cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// A printable character.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// Tab, with or without shift: there are two places to go between.
    Tab,
    /// One step.
    Move(Direction),
    /// One step of the graph's window, not of the selection.
    Pan(Direction),
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// To the first.
    Home,
    /// To the last.
    End,
    /// Control-C.
    Interrupt,
}

/// A direction on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Towards the top.
    Up,
    /// Towards the bottom.
    Down,
    /// Towards the left.
    Left,
    /// Towards the right.
    Right,
}

/// Something that the loop shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Fetch a trace and answer with [`Message::Trace`].
    LoadTrace(TraceId),
    /// Switch a scenario of the demo.
    SetScenario {
        /// Its name.
        name: String,
        /// On or off.
        is_on: bool,
    },
    /// Look through another window.
    Look(View),
    /// Leave.
    Quit,
}
