//! The table and the JSON object.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::row::{Limit, Row};

/// All rows that were measured. Shown, it is a table.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub(crate) machines: u8,
    pub(crate) units: usize,
    pub(crate) quick: bool,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// Whether every required row reaches what it must.
    pub fn is_met(&self) -> bool {
        self.rows.iter().filter(|row| row.required).all(Row::is_met)
    }

    /// The same as the table, for programs.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.title.chars().count()).max().unwrap_or_default();
        writeln!(f, "{:width$}  {:>11}  {:>11}  {:>5}  {:14}", "", "measured", "floor", "ratio", "must reach")?;
        for row in &self.rows {
            let floor = row.floor.map_or("-".to_owned(), |floor| with_unit(floor, row.unit));
            let ratio = row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let limit = match row.must_reach {
                Limit::AtMost(most) => format!("≤ {}", with_unit(most, row.unit)),
                Limit::AtLeast(least) => format!("≥ {}", with_unit(least, row.unit)),
                Limit::TimesFloor(times) => format!("≤ {times} × floor"),
            };
            let verdict = match (row.is_met(), row.required) {
                (true, _) => "met",
                (false, true) => "MISSED",
                (false, false) => "missed (not required)",
            };
            let figure = with_unit(row.figure, row.unit);
            writeln!(f, "{:width$}  {figure:>11}  {floor:>11}  {ratio:>5}  {limit:14}  {verdict}", row.title)?;
        }
        for row in self.rows.iter().filter(|row| !row.detail.is_empty()) {
            writeln!(f, "\n{}: {}", row.title, row.detail)?;
        }
        Ok(())
    }
}

fn with_unit(figure: f64, unit: &str) -> String {
    // Three digits tell enough; a zero before the point tells nothing.
    let digits = if figure.abs() >= 100.0 { 0 } else { 2 - usize::from(figure.abs() >= 10.0) };
    format!("{figure:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::super::row::RowName;
    use super::*;

    fn report(rows: Vec<Row>) -> Report {
        Report { machines: 5, units: 200, quick: false, rows }
    }

    #[test]
    fn a_required_row_that_is_missed_fails_the_run() {
        let met = Row::absolute(RowName::Ready, "exec to ready", 12.0, "ms", 30.0);
        let missed = Row::absolute(RowName::LeaderLost, "leader lost", 12.0, "s", 11.0);
        assert!(report(vec![met.clone(), missed.clone().only_printed()]).is_met());
        assert!(!report(vec![met, missed]).is_met());
    }

    #[test]
    fn the_table_shows_figure_floor_ratio_and_verdict() {
        let rows = vec![
            Row::pairs(RowName::Start, "start", &[(24.0, 16.0)], 2.0).with_detail("why".to_owned()),
            Row::absolute(RowName::RestCpu, "CPU at rest", 0.1234, "ms/s", 0.5),
        ];
        let table = report(rows).to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[1], "start            24.0 ms      16.0 ms   1.50  ≤ 2 × floor     met");
        assert_eq!(lines[2], "CPU at rest    0.12 ms/s            -      -  ≤ 0.50 ms/s     met");
        assert_eq!(lines[4], "start: why");
    }
}
