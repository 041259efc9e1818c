// SPDX-License-Identifier: Apache-2.0
//! What is asked.

use basics::Random;

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub method: &'static str,
    pub path: String,
    /// JSON, if it has a body.
    pub body: Option<String>,
}

/// What is asked of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mix {
    /// The shop's endpoints: health 40 %, products 30 %, orders 15 %, reports 10 %, payments 5 %.
    Shop,
    /// `POST /predict` with three features.
    Predict,
    /// `GET` of this path.
    Path(String),
}

impl Mix {
    /// The mix that fits a URL: its path if it has one, otherwise `usual`; `/predict` is
    /// [`Mix::Predict`].
    pub fn of(path: &str, usual: Mix) -> Mix {
        match path {
            "" | "/" => usual,
            "/predict" => Mix::Predict,
            path => Mix::Path(path.to_owned()),
        }
    }

    /// The path when there is only one.
    pub fn path(&self) -> &str {
        match self {
            Mix::Shop => "",
            Mix::Predict => "/predict",
            Mix::Path(path) => path,
        }
    }

    pub(crate) fn next(&self, random: &mut Random) -> Ask {
        let get = |path: &str| Ask { method: "GET", path: path.to_owned(), body: None };
        let post = |path: &str, body: String| Ask {
            method: "POST",
            path: path.to_owned(),
            body: Some(body),
        };
        match self {
            Mix::Path(path) => get(path),
            Mix::Predict => {
                let mut feature = || (random.below(40) as f64) / 10.0;
                let features = [feature(), feature(), feature()];
                post("/predict", format!("{{\"features\":{features:?}}}"))
            }
            Mix::Shop => match random.below(100) {
                0..40 => get("/health"),
                40..70 => get("/api/products"),
                70..85 => {
                    let (product, count) = (1 + random.below(6), 1 + random.below(3));
                    let item = format!("{{\"product_id\":{product},\"quantity\":{count}}}");
                    post("/api/orders", format!("{{\"items\":[{item}]}}"))
                }
                85..95 => get("/api/reports"),
                _ => post("/api/payments", format!("{{\"amount\":{}}}", 1 + random.below(500))),
            },
        }
    }
}
