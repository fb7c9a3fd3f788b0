//! The predict call that both Rust peers share: JSON in, tl2cgen's compiled forest, JSON out.
use serde::{Deserialize, Serialize};

const FEATURES: usize = 4;
const CLASSES: usize = 3;

unsafe extern "C" {
    /// tl2cgen's entry: an array of 8-byte entries (here doubles), no margin, CLASSES doubles out.
    fn predict(data: *const f64, pred_margin: i32, result: *mut f64);
}

#[derive(Deserialize)]
struct Request {
    data: Vec<Vec<f32>>, // scikit-learn casts to float32; thresholds are doubles
}

#[derive(Serialize)]
struct Reply {
    predictions: Vec<i64>,
    probabilities: Vec<[f64; CLASSES]>,
}

/// Answers one body; None when it is not a list of rows of FEATURES numbers.
pub fn answer(body: &[u8]) -> Option<Vec<u8>> {
    let q: Request = sonic_rs::from_slice(body).ok()?;
    let mut out = Reply {
        predictions: Vec::with_capacity(q.data.len()),
        probabilities: Vec::with_capacity(q.data.len()),
    };
    for row in &q.data {
        if row.len() != FEATURES {
            return None;
        }
        let x: [f64; FEATURES] = std::array::from_fn(|k| row[k] as f64);
        let mut p = [0f64; CLASSES];
        unsafe { predict(x.as_ptr(), 0, p.as_mut_ptr()) };
        let mut best = 0;
        for k in 1..CLASSES {
            if p[k] > p[best] {
                best = k;
            }
        }
        out.predictions.push(best as i64);
        out.probabilities.push(p);
    }
    sonic_rs::to_vec(&out).ok()
}
