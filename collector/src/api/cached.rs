//! An answer that is costly to make, made once for each snapshot and view, however many ask for it.

use std::sync::Arc;

use spanlint_graph::View;
use tokio::sync::Mutex;

/// The latest answer, for the snapshot of one moment seen through one view.
#[derive(Debug, Clone)]
pub(super) struct Cached<T>(Arc<Mutex<Option<Made<T>>>>);

/// The answer, with what it was made for: when the snapshot was published, and the view.
type Made<T> = ((u64, View), T);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Cached<T> {
    /// The answer for the snapshot that was published at `at_ns`. Whoever asks while it is made waits for it.
    pub(super) async fn get<E>(
        &self,
        at_ns: u64,
        view: View,
        make: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut cached = self.0.lock().await;
        if let Some((made_for, answer)) = &*cached
            && *made_for == (at_ns, view)
        {
            return Ok(answer.clone());
        }
        let answer = make().await?;
        *cached = Some(((at_ns, view), answer.clone()));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use spanlint_graph::Window;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_made_once_for_each_moment_and_view_and_a_failure_is_not_kept() {
        let cached = Cached::default();
        let (now, all) = (View::default(), View { window: Window::All, until_ns: None });
        assert_eq!(cached.get(1, now, async || Err("failed")).await, Err("failed"));
        let made = |answer: &'static str| async move || Ok::<_, &str>(answer);
        assert_eq!(cached.get(1, now, made("first")).await, Ok("first"));
        assert_eq!(cached.get(1, now, made("again")).await, Ok("first"));
        assert_eq!(cached.get(1, all, made("other")).await, Ok("other"));
        assert_eq!(cached.get(2, all, made("second")).await, Ok("second"));
    }
}
