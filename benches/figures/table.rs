//! What was found, as the one table that is printed: Markdown, so that it can go where it is to be read.

use std::fmt::Write as _;

use crate::run::Cost;

/// What came of one side of a comparison.
#[derive(Debug, Clone)]
pub enum Found {
    /// The medians of its runs.
    Cost(Cost),
    /// It is not on this machine, and cannot be had.
    NotHad(String),
    /// It was tried, and did not do what it was to do.
    Failed(String),
}

impl Found {
    /// What it cost, if it did.
    pub fn cost(&self) -> Option<Cost> {
        match self {
            Found::Cost(cost) => Some(*cost),
            Found::NotHad(_) | Found::Failed(_) => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Found::Cost(cost) => seconds(cost.wall.as_secs_f64()),
            Found::NotHad(why) => format!("not had: {why}"),
            Found::Failed(why) => format!("failed: {why}"),
        }
    }
}

/// What a figure should come to.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// At most these parts of the other's time: target, moonshot. [`NONE`] where there is no such goal.
    Share(f64, f64),
    /// At least so many times as fast as the other: target, moonshot.
    Faster(f64, f64),
    /// At least so many a second, of so many: count, target, moonshot.
    Rate(usize, f64, f64),
    /// At most so many seconds.
    Seconds(f64),
    /// At most so many seconds of CPU time more than the other.
    MoreCpu(f64),
    /// At most so many MiB at the peak: target, moonshot.
    Peak(f64, f64),
    /// None was set: so many, in the time that was taken beyond the other's.
    Beyond(usize),
}

/// In place of a goal.
pub const NONE: f64 = f64::NAN;

/// A line of the table.
pub struct Row {
    /// What was done, and with what.
    pub what: String,
    /// What it cost.
    pub ours: Found,
    /// What it is compared with, and what that cost; and how many times what was measured the whole would be.
    pub against: Option<(String, Found, f64)>,
    /// What it should come to.
    pub goal: Goal,
}

impl Row {
    /// What the figure came to, in the goal's own unit.
    fn value(&self) -> Option<f64> {
        let ours = self.ours.cost()?;
        let wall = ours.wall.as_secs_f64();
        let theirs = || {
            let (_, found, scale) = self.against.as_ref()?;
            Some(found.cost()?.wall.as_secs_f64() * scale)
        };
        Some(match self.goal {
            Goal::Share(..) => wall / theirs()?,
            Goal::Faster(..) => theirs()? / wall,
            Goal::Rate(count, ..) => count as f64 / wall,
            Goal::Beyond(count) => count as f64 / (wall - theirs()?),
            Goal::Seconds(_) => wall,
            Goal::MoreCpu(_) => {
                let (_, found, _) = self.against.as_ref()?;
                (ours.cpu.as_secs_f64() - found.cost()?.cpu.as_secs_f64()).max(0.0)
            }
            Goal::Peak(..) => ours.peak as f64 / MIB,
        })
    }

    fn value_text(&self) -> String {
        let Some(value) = self.value() else {
            return String::new();
        };
        match self.goal {
            Goal::Share(..) => format!("{value:.2} of it"),
            Goal::Faster(..) => format!("{value:.2} × as fast"),
            Goal::Rate(..) | Goal::Beyond(_) => format!("{} a second", thousands(value)),
            Goal::Seconds(_) => seconds(value),
            Goal::MoreCpu(_) => format!("{} more CPU", seconds(value)),
            Goal::Peak(..) => format!("{value:.1} MiB"),
        }
    }

    /// Target, moonshot, and which of them is met.
    fn goal_texts(&self) -> [String; 3] {
        let (target, moonshot, at_most) = match self.goal {
            Goal::Share(target, moonshot) | Goal::Peak(target, moonshot) => (target, moonshot, true),
            Goal::Faster(target, moonshot) | Goal::Rate(_, target, moonshot) => (target, moonshot, false),
            Goal::Seconds(target) | Goal::MoreCpu(target) => (target, NONE, true),
            Goal::Beyond(_) => return ["", "", ""].map(String::from),
        };
        let goal = |goal: f64| match self.goal {
            _ if goal.is_nan() => String::new(),
            Goal::Share(..) => format!("≤ {goal}"),
            Goal::Faster(..) => format!("≥ {goal} ×"),
            Goal::Rate(..) | Goal::Beyond(_) => format!("≥ {}", thousands(goal)),
            Goal::Seconds(_) | Goal::MoreCpu(_) => format!("≤ {}", seconds(goal)),
            Goal::Peak(..) => format!("≤ {goal} MiB"),
        };
        let reached = |value: f64, goal: f64| if at_most { value <= goal } else { value >= goal };
        let met = match self.value() {
            _ if target.is_nan() && moonshot.is_nan() => "",
            None => "not measured",
            Some(value) if reached(value, moonshot) => "moonshot",
            Some(value) if reached(value, target) => "target",
            Some(_) if target.is_nan() => "no moonshot",
            Some(_) => "**no**",
        };
        [goal(target), goal(moonshot), met.to_string()]
    }

    fn cells(&self) -> Vec<String> {
        let (against, theirs) = match &self.against {
            Some((name, found, _)) => (name.clone(), found.text()),
            None => (String::new(), String::new()),
        };
        let (cpu, peak) = match self.ours.cost() {
            Some(cost) => (
                seconds(cost.cpu.as_secs_f64()),
                format!("{:.0} MiB", cost.peak as f64 / MIB),
            ),
            None => (String::new(), String::new()),
        };
        let [target, moonshot, met] = self.goal_texts();
        let value = self.value_text();
        vec![
            self.what.clone(),
            self.ours.text(),
            cpu,
            peak,
            against,
            theirs,
            value,
            target,
            moonshot,
            met,
        ]
    }
}

/// The table, with its columns in line.
pub fn print(rows: &[Row]) -> String {
    let head = "what|takes|CPU|peak|compared with|takes|comes to|target|moonshot|met";
    let head: Vec<String> = head.split('|').map(String::from).collect();
    let rule = vec!["-".to_string(); head.len()];
    let lines: Vec<Vec<String>> = [head, rule].into_iter().chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, &width) in line.iter().zip(&widths) {
            let written = match number {
                1 => write!(text, "|{}", "-".repeat(width + 2)),
                _ => write!(text, "| {cell:width$} "),
            };
            written.expect("a String takes everything");
        }
        text.push_str("|\n");
    }
    text
}

const MIB: f64 = 1024.0 * 1024.0;

/// `1.23 s` or `45 ms`.
fn seconds(seconds: f64) -> String {
    match seconds {
        0.0995.. => format!("{seconds:.2} s"),
        _ => format!("{:.0} ms", seconds * 1000.0),
    }
}

/// `12,345`.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
