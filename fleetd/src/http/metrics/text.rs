//! Prometheus' text format, version 0.0.4.

use std::fmt::Write;
use std::time::Duration;

/// A page of metrics, as it grows.
#[derive(Debug, Default)]
pub(super) struct Text(pub(super) String);

/// One label. Values are names of fleet's own: nothing in them needs escaping.
pub(super) fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{value}\"")
}

impl Text {
    /// A single value that goes up and down.
    pub(super) fn number(&mut self, name: &str, help: &str, value: f64) {
        self.gauge(name, help, [(String::new(), value)]);
    }

    /// Values that go up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (String, f64)>) {
        self.family(name, help, "gauge", samples);
    }

    /// Values that only go up.
    pub(super) fn counter(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (String, f64)>) {
        self.family(name, help, "counter", samples);
    }

    /// How long something took in all, and how often.
    pub(super) fn summary(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, Duration, u64)>,
    ) {
        self.head(name, help, "summary");
        for (labels, time, count) in samples {
            self.sample(&format!("{name}_sum"), &labels, time.as_secs_f64());
            self.sample(&format!("{name}_count"), &labels, count as f64);
        }
    }

    fn family(&mut self, name: &str, help: &str, kind: &str, samples: impl IntoIterator<Item = (String, f64)>) {
        self.head(name, help, kind);
        for (labels, value) in samples {
            self.sample(name, &labels, value);
        }
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a string cannot fail.
        _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        // As above.
        _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            _ => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_written_as_prometheus_reads_it() {
        let mut text = Text::default();
        text.number("a", "A.", 1.5);
        text.counter("b_total", "B.", [(label("type", "x"), 2.0)]);
        text.summary("c", "C.", [(label("ops", "get"), Duration::from_millis(1500), 3)]);
        assert_eq!(
            text.0,
            "# HELP a A.\n# TYPE a gauge\na 1.5\n\
             # HELP b_total B.\n# TYPE b_total counter\nb_total{type=\"x\"} 2\n\
             # HELP c C.\n# TYPE c summary\nc_sum{ops=\"get\"} 1.5\nc_count{ops=\"get\"} 3\n"
        );
    }
}
