//! Figures as text: medians with their spread, and ratios taken round by round.

/// One side of a comparison: what was measured in each round.
pub struct Side {
    name: &'static str,
    unit: &'static str,
    rounds: Vec<f64>,
}

impl Side {
    pub fn new(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, rounds: Vec::new() }
    }

    pub fn add(&mut self, value: f64) {
        self.rounds.push(value);
    }

    pub fn print(&self) {
        let (low, median, high) = spread(&self.rounds);
        println!("  {:<44} {median:>9.3} {} ({low:.3} to {high:.3}, n={})", self.name, self.unit, self.rounds.len());
    }

    /// The ratio to another side, and what it should be at most.
    pub fn print_ratio(&self, other: &Self, goal: f64) {
        let ratios: Vec<f64> = self.rounds.iter().zip(&other.rounds).map(|(own, other)| own / other).collect();
        let (low, median, high) = spread(&ratios);
        let verdict = if median <= goal { "reached" } else { "missed" };
        println!(
            "  {:<44} {median:>9.3} x ({low:.3} to {high:.3}); goal {goal}: {verdict}",
            format!("{} / {}", self.name, other.name)
        );
    }
}

/// Least, median and greatest.
pub fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    };
    (sorted.first().copied().unwrap_or(f64::NAN), median, sorted.last().copied().unwrap_or(f64::NAN))
}
