//! The screen before the first span: how to send some.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::lines::Row;
use super::row_of;
use crate::numbers::counted;
use crate::state::State;
use crate::text;
use crate::theme::Theme;

/// Draws the screen.
pub(super) fn draw(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let room = usize::from(area.width).saturating_sub(4).min(76);
    let lines: Vec<(String, Style)> = paragraphs(state, theme)
        .into_iter()
        .flat_map(|(text, style)| {
            let lines = if text.starts_with(' ') { vec![text] } else { text::wrap(&text, room) };
            // Nothing is an empty line.
            let lines = if lines.is_empty() { vec![String::new()] } else { lines };
            lines.into_iter().map(move |line| (line, style))
        })
        .collect();
    let height = usize::from(area.height);
    let top = height.saturating_sub(lines.len()) / 3;
    let left = Rect { x: area.x + 2, width: area.width.saturating_sub(4), ..area };
    for (index, (line, style)) in lines.into_iter().take(height).enumerate() {
        let area = row_of(left, (top + index).min(height - 1));
        Row::new(usize::from(area.width)).add(&line, style).draw(area, None, buffer);
    }
}

/// What there is to say. What begins with a space stands in one line.
fn paragraphs(state: &State, theme: Theme) -> Vec<(String, Style)> {
    let status = &state.live.status;
    let gap = || (String::new(), theme.text());
    let say = |text: &str, style: Style| (text.to_owned(), style);
    if state.live.view.is_some_and(|view| view.until_ns.is_some()) {
        return vec![
            say("Nothing is kept of these minutes", theme.heading()),
            gap(),
            say("] goes a minute on, } back to now, and w to a longer window.", theme.text()),
        ];
    }
    let mut said = Vec::new();
    if let Some(first) = status.endpoints.first() {
        said.extend([
            say("Waiting for spans", theme.heading()),
            gap(),
            say("Start your services with", theme.text()),
            gap(),
        ]);
        said.extend([(format!("  OTEL_EXPORTER_OTLP_ENDPOINT=http://{}", first.address), theme.strong()), gap()]);
        let protocols = "Every OTLP port takes gRPC and HTTP (protobuf and JSON), so the protocol need not be set.";
        said.extend([say(protocols, theme.faint()), gap()]);
        for endpoint in &status.endpoints {
            said.push((format!("  {}  {}", text::left(&endpoint.address, 22), endpoint.protocols), theme.text()));
        }
        if status.spans == 0 && status.scenarios.is_empty() {
            said.extend([
                gap(),
                say("Nothing to send yet? `spanlint demo` shows a shop of twelve services.", theme.faint()),
            ]);
        }
    } else {
        said.push(say("No spans in these recordings", theme.heading()));
    }
    let spans = counted(status.spans, "span");
    let pending = counted(status.pending_traces, "trace");
    said.extend([gap(), (format!("Received so far: {spans}, {pending} not settled yet."), theme.text())]);
    if status.traces > 0 {
        said.push(say("None of them is of this window; w looks further back.", theme.text()));
    }
    if status.rejected > 0 {
        let refused = format!("Rejected: {}. The sender was told why.", counted(status.rejected, "span"));
        said.push((refused, theme.notice()));
    }
    said
}
