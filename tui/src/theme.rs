//! Colours and signs. Colours are the sixteen that every terminal lets its user choose, so they suit light and dark
//! backgrounds; nothing is said by colour alone.

use ratatui::style::{Color, Modifier, Style};
use spanlint_analyzer::finding::Severity;

use crate::figures::Health;

/// The styles of everything that is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    has_colour: bool,
}

#[expect(clippy::unused_self, reason = "that some styles look alike in every theme is the theme's own business")]
impl Theme {
    /// With colours, or with modifiers (bold, reversed, dim) only.
    pub(crate) fn new(has_colour: bool) -> Self {
        Self { has_colour }
    }

    /// Ordinary text.
    pub(crate) fn text(self) -> Style {
        Style::new()
    }

    /// What matters more than its neighbours.
    pub(crate) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What matters less than its neighbours.
    pub(crate) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Headings.
    pub(crate) fn heading(self) -> Style {
        self.coloured(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// The selected row of the part that has the keys.
    pub(crate) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The keys in the last line.
    pub(crate) fn key(self) -> Style {
        self.coloured(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// All is well.
    pub(crate) fn good(self) -> Style {
        self.coloured(Color::Green).add_modifier(Modifier::BOLD)
    }

    /// Something to be noticed that is no finding: refused spans, a pause.
    pub(crate) fn notice(self) -> Style {
        self.coloured(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// A finding of this severity.
    pub(crate) fn severity(self, severity: Severity) -> Style {
        let colour = match severity {
            Severity::Error => Color::Red,
            Severity::Warning => Color::Yellow,
            Severity::Note => Color::Blue,
        };
        self.coloured(colour).add_modifier(Modifier::BOLD)
    }

    /// Numbers, by how many calls fail.
    pub(crate) fn health(self, health: Health) -> Style {
        match health {
            Health::Good => self.text(),
            Health::Impaired => self.coloured(Color::Yellow),
            Health::Failing => self.coloured(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    /// The line of an edge without a finding.
    pub(crate) fn line(self, health: Health) -> Style {
        if health == Health::Good { self.faint() } else { self.health(health) }
    }

    /// One of six colours that tell services apart in a waterfall; names are always written beside them.
    pub(crate) fn service(self, index: usize) -> Style {
        const COLOURS: [Color; 6] =
            [Color::Cyan, Color::Green, Color::Magenta, Color::Blue, Color::LightCyan, Color::LightMagenta];
        self.coloured(COLOURS[index % COLOURS.len()])
    }

    /// Nodes that are not services.
    pub(crate) fn other_node(self) -> Style {
        self.coloured(Color::Magenta)
    }

    fn coloured(self, colour: Color) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new() }
    }
}

/// The sign of a severity.
pub(crate) fn sign(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "✗",
        Severity::Warning => "▲",
        Severity::Note => "○",
    }
}
