//! Columns as fleet printed them: padded with tabs to multiples of eight.

/// How far apart tab stops are.
const TAB: usize = 8;

/// Lays out rows of cells. Every column but the last is padded with tabs to the first tab stop after its widest cell.
///
/// ```
/// use fleetctl::table::render;
///
/// let rows = [vec!["UNIT", "SUB"], vec!["hello.service", "running"]];
/// assert_eq!(render(&rows), "UNIT\t\tSUB\nhello.service\trunning\n");
/// ```
pub fn render<R, C>(rows: &[R]) -> String
where
    R: AsRef<[C]>,
    C: AsRef<str>,
{
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let mut stops = vec![0; columns];
    for row in rows {
        for (stop, cell) in stops.iter_mut().zip(row.as_ref()) {
            *stop = (*stop).max(width(cell.as_ref()) / TAB + 1);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.as_ref();
        for (at, (cell, stop)) in cells.iter().zip(&stops).enumerate() {
            let cell = cell.as_ref();
            text.push_str(cell);
            if at + 1 < cells.len() {
                text.extend(std::iter::repeat_n('\t', stop - width(cell) / TAB));
            }
        }
        text.push('\n');
    }
    text
}

/// Go's tabwriter counts characters, and so do we.
fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each cell of a line ends up on a terminal.
    fn positions(line: &str) -> Vec<usize> {
        let (mut at, mut positions, mut in_cell) = (0, Vec::new(), false);
        for c in line.chars() {
            if c == '\t' {
                at = (at / TAB + 1) * TAB;
                in_cell = false;
            } else {
                if !in_cell {
                    positions.push(at);
                }
                in_cell = true;
                at += 1;
            }
        }
        positions
    }

    #[test]
    fn columns_begin_at_the_same_tab_stop_in_every_row() {
        for length in 1..40 {
            let long = "x".repeat(length);
            let text = render(&[vec!["A", "B", "C"], vec![&long, "é", "c"], vec!["-", &long, "-"]]);
            let lines: Vec<_> = text.lines().map(positions).collect();
            let column = (length + 1).div_ceil(TAB) * TAB;
            assert_eq!(lines, vec![vec![0, column, 2 * column]; 3], "{text}");
        }
    }

    #[test]
    fn nothing_follows_the_last_cell() {
        assert_eq!(render(&[["A"]]), "A\n");
        assert_eq!(render::<Vec<&str>, &str>(&[]), "");
    }
}
