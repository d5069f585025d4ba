//! Text cut to the cells that it may take. Texts from spans are scrubbed before they come here; widths are not known
//! until here, so nothing is ever cut or padded by counting characters.

use std::collections::BTreeSet;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The cells to which a word of a sentence is cut without harm: most words that are not names are shorter.
const EASY_WORD_CELLS: usize = 12;
/// The fewest cells to which a word of a sentence is cut.
const MIN_WORD_CELLS: usize = 9;

/// How many cells `text` takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `cells` cells, the end replaced by `…` where it does not fit.
pub(crate) fn fit(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    if cells == 0 {
        return String::new();
    }
    let mut short = take(text.chars(), cells - 1);
    short.push('…');
    short
}

/// `text` in at most `cells` cells, the middle replaced by `…` where it does not fit: names often differ at the end.
pub(crate) fn fit_middle(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    if cells < 5 {
        return fit(text, cells);
    }
    let tail_cells = (cells - 1) / 3;
    let tail: String = take(text.chars().rev(), tail_cells).chars().rev().collect();
    let head = take(text.chars(), cells - 1 - width(&tail));
    format!("{head}…{tail}")
}

/// Whether the words of `text` can be cut so that all of them stand in `cells` cells and are easily read.
pub(crate) fn has_room_for_words(text: &str, cells: usize) -> bool {
    let least: usize = text.split(' ').map(|word| width(word).min(EASY_WORD_CELLS) + 1).sum();
    least <= cells + 1
}

/// `text` in at most `cells` cells, the middle of its longest words replaced by `…` where it does not fit: what a sentence
/// says at its end is kept. Where that is not enough, the end goes, too.
pub(crate) fn fit_words(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let longest = text.split(' ').map(width).max().unwrap_or(0);
    let cut = |most: usize| text.split(' ').map(|word| fit_middle(word, most)).collect::<Vec<_>>().join(" ");
    let fitting = (MIN_WORD_CELLS..longest).rev().map(cut).find(|short| width(short) <= cells);
    fitting.unwrap_or_else(|| fit(&cut(EASY_WORD_CELLS), cells))
}

/// Each name in at most as many cells as stand beside it, cut at the end or in the middle, whichever leaves more apart.
pub(crate) fn fit_apart(names: &[(&str, usize)]) -> Vec<String> {
    let cut = |cut: fn(&str, usize) -> String| names.iter().map(|&(name, cells)| cut(name, cells)).collect::<Vec<_>>();
    let apart = |names: &[String]| names.iter().collect::<BTreeSet<_>>().len();
    let (at_end, in_middle) = (cut(fit), cut(fit_middle));
    if apart(&in_middle) > apart(&at_end) { in_middle } else { at_end }
}

/// `text` in exactly `cells` cells, at the left.
pub(crate) fn left(text: &str, cells: usize) -> String {
    pad(fit(text, cells), cells, false)
}

/// `text` in exactly `cells` cells, at the right.
pub(crate) fn right(text: &str, cells: usize) -> String {
    pad(fit(text, cells), cells, true)
}

/// `text` broken at spaces into lines of at most `cells` cells; words that are longer are cut.
pub(crate) fn wrap(text: &str, cells: usize) -> Vec<String> {
    wrap_by(text, cells, |word| vec![fit_middle(word, cells)])
}

/// Like [`wrap`], but what is longer than a line goes on in the next one: nothing is cut.
pub(crate) fn wrap_whole(text: &str, cells: usize) -> Vec<String> {
    wrap_by(text, cells, |word| {
        let mut rest = word;
        let next = || {
            let head = take(rest.chars(), cells);
            rest = &rest[head.len()..];
            (!head.is_empty()).then_some(head)
        };
        std::iter::from_fn(next).collect()
    })
}

/// `text` broken at spaces; a word that begins a line becomes what `lines_of` makes of it.
fn wrap_by(text: &str, cells: usize, lines_of: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= cells => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(lines_of(word)),
        }
    }
    lines
}

fn take(characters: impl Iterator<Item = char>, cells: usize) -> String {
    let mut used = 0;
    let fits = |character: &char| {
        used += character.width().unwrap_or(0);
        used <= cells
    };
    characters.take_while(fits).collect()
}

fn pad(text: String, cells: usize, is_right: bool) -> String {
    let missing = " ".repeat(cells.saturating_sub(width(&text)));
    if is_right { missing + &text } else { text + &missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_cells_and_not_by_characters() {
        assert_eq!(fit("warehouse", 9), "warehouse");
        assert_eq!(fit("warehouse", 5), "ware…");
        assert_eq!(fit("倉庫サービス", 5), "倉庫…");
        assert_eq!(left("倉庫", 6), "倉庫  ");
        assert_eq!(left("倉庫サービス", 6), "倉庫… ");
        assert_eq!(right("7", 3), "  7");
        assert_eq!(fit("cart", 0), "");
    }

    #[test]
    fn the_middle_goes_first_where_names_differ_at_the_end() {
        assert_eq!(fit_middle("order-processing", 10), "order-…ing");
        assert_eq!(fit_middle("order-processing", 3), "or…");
    }

    #[test]
    fn names_are_cut_where_they_stay_apart() {
        let cut = |names: [&str; 2]| fit_apart(&names.map(|name| (name, 9)));
        assert_eq!(cut(["order-processing", "order-taking"]), ["order-pr…", "order-ta…"]);
        assert_eq!(cut(["shop-service-a", "shop-service-b"]), ["shop-s…-a", "shop-s…-b"]);
        assert_eq!(fit_apart(&[("warehouse", 9), ("warehouse-b", 5)]), ["warehouse", "ware…"]);
    }

    #[test]
    fn sentences_keep_their_end_while_names_can_be_cut() {
        let title = "cart calls warehouse GET /warehouses/{id}/stock/{sku} 7 times a request";
        assert_eq!(fit_words(title, 80), title);
        assert_eq!(fit_words(title, 60), "cart calls warehouse GET /warehouses…{sku} 7 times a request");
        assert!(has_room_for_words(title, 59) && !has_room_for_words(title, 54));
        assert_eq!(fit_words(title, 45), "cart calls warehouse GET /warehou…ku} 7 time…");
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable", 5), ["unb…e"]);
        assert!(wrap("", 5).is_empty());
    }

    #[test]
    fn what_must_be_read_whole_goes_on_in_the_next_line() {
        assert_eq!(wrap_whole("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap_whole("at http://a/b/c here", 7), ["at", "http://", "a/b/c", "here"]);
        assert_eq!(wrap_whole("注文", 3), ["注", "文"]);
        assert!(wrap_whole("注文", 1).is_empty() && wrap_whole("", 5).is_empty());
    }
}
