//! Answers that name another place to ask. Whether that place was asked is looked at here; which place it was is not, since
//! a name of another host or path may be written in many ways.

use super::Made;
use crate::span::Marks;

/// Takes the mark of a redirect from the calls after which their request asked nobody else: who passes the answer on, or
/// looks only where it leads, has made a call like any other. `made` is in order of (request, start).
pub(super) fn forget_unfollowed(made: &mut [Made<'_>]) {
    let mut latest = None;
    for call in made.iter_mut().rev().filter(|call| call.is_remote() && !call.is_asynchronous) {
        let by = (call.request, call.caller);
        match latest {
            Some((known, start_ns)) if known == by => {
                if start_ns < call.end_ns {
                    call.marks.clear(Marks::REDIRECT);
                }
            }
            _ => {
                call.marks.clear(Marks::REDIRECT);
                latest = Some((by, call.start_ns));
            }
        }
    }
}
