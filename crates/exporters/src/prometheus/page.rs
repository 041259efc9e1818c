// SPDX-License-Identifier: Apache-2.0
//! Pages made of the table: one rendering serves all who wait for it.
//!
//! A scrape that arrives while a page is being made waits for it, and takes it if it was begun
//! after the scrape arrived; so any number of scrapers cost two renderings at a time and never an
//! old page. Rendering holds the table; compressing, the larger part, does not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use basics::Clock;
use bytes::Bytes;
use otlp_wire::Payload;
use parking_lot::Mutex;
use pipeline::Encoding;

use super::config::Config;
use super::table::Table;
use super::text::Form;

/// How many times in the time of expiry ended series are looked for.
const SWEEPS: u64 = 4;

/// The table and the pages made of it.
pub(super) struct Pages {
    table: Mutex<Table>,
    clock: Clock,
    expiration: Duration,
    timestamps: bool,
    swept_ms: Mutex<u64>,
    forms: [tokio::sync::Mutex<Option<Page>>; 4],
}

/// One page as it was at a time.
#[derive(Clone)]
struct Page {
    at: Instant,
    plain: Bytes,
    gzip: Option<Bytes>,
}

impl Pages {
    pub fn new(config: &Config, clock: Clock) -> Self {
        Pages {
            table: Mutex::new(Table::new(config.translation())),
            clock,
            expiration: config.metric_expiration.get(),
            timestamps: config.send_timestamps,
            swept_ms: Mutex::new(0),
            forms: Default::default(),
        }
    }

    /// Takes the points of a payload; says what was not taken.
    pub fn take(&self, payload: &Payload) -> otlp_series::Report {
        let now_ms = self.now_ms();
        let report = self.table.lock().take(payload, now_ms);
        let mut swept_ms = self.swept_ms.lock();
        if now_ms.saturating_sub(*swept_ms) > self.expiration.as_millis() as u64 / SWEEPS {
            *swept_ms = now_ms;
            self.table.lock().sweep(self.oldest_ms(now_ms));
        }
        report
    }

    /// Series held.
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// The page in a form, compressed if asked for.
    pub async fn page(self: &Arc<Self>, form: Form, gzip: bool) -> Bytes {
        let arrived = Instant::now();
        let place = usize::from(form.open_metrics) | usize::from(form.utf8) << 1;
        let mut place = self.forms[place].lock().await;
        let fresh = place.as_ref().filter(|page| page.at >= arrived);
        match fresh.map(|page| (gzip, &page.plain, &page.gzip)) {
            Some((false, plain, _)) => return plain.clone(),
            Some((true, _, Some(packed))) => return packed.clone(),
            _ => {}
        }
        let pages = self.clone();
        let made = tokio::task::spawn_blocking(move || pages.make(form, gzip)).await;
        // Rendering does not panic; if it did, the scraper would see an empty page.
        let Ok(page) = made else { return Bytes::new() };
        let body = page.gzip.clone().unwrap_or_else(|| page.plain.clone());
        *place = Some(page);
        body
    }

    fn make(&self, form: Form, gzip: bool) -> Page {
        let at = Instant::now();
        let oldest_ms = self.oldest_ms(self.now_ms());
        let plain = Bytes::from(self.table.lock().render(form, self.timestamps, oldest_ms));
        let gzip = gzip.then(|| crate::net::compress::compress(&plain, Encoding::Gzip));
        Page { at, plain, gzip }
    }

    /// On the monotonic clock: expiry must not follow corrections of the wall clock.
    fn now_ms(&self) -> u64 {
        self.clock.monotonic() / 1_000_000
    }

    fn oldest_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.expiration.as_millis() as u64)
    }
}
