//! A small web shop of twelve services that speaks OpenTelemetry.
