//! An answer that is costly to make, made once for each snapshot, however many ask for it.

use std::sync::Arc;

use tokio::sync::Mutex;

/// The answer for the snapshot of one moment.
#[derive(Debug, Clone)]
pub(super) struct Cached<T>(Arc<Mutex<Option<(u64, T)>>>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Cached<T> {
    /// The answer for the snapshot that was published at `at_ns`. Whoever asks while it is made waits for it.
    pub(super) async fn get(&self, at_ns: u64, make: impl AsyncFnOnce() -> Option<T>) -> Option<T> {
        let mut cached = self.0.lock().await;
        if let Some((made_at, answer)) = &*cached
            && *made_at == at_ns
        {
            return Some(answer.clone());
        }
        let answer = make().await?;
        *cached = Some((at_ns, answer.clone()));
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_made_once_for_each_moment_and_a_failure_is_not_kept() {
        let cached = Cached::default();
        assert_eq!(cached.get(1, async || None).await, None);
        assert_eq!(cached.get(1, async || Some("first")).await, Some("first"));
        assert_eq!(cached.get(1, async || Some("again")).await, Some("first"));
        assert_eq!(cached.get(2, async || Some("second")).await, Some("second"));
    }
}
