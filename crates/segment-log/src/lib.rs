//! segment-log
