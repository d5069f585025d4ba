//! Configuration, validated.

/// What a rule is given: its thresholds and the support that it needs.
#[derive(Debug)]
pub struct Options<'a> {
    _config: std::marker::PhantomData<&'a ()>,
}
