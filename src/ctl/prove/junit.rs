// SPDX-License-Identifier: MIT OR Apache-2.0
//! A report as JUnit XML, the common subset that forges read: suites, cases, failures.

use super::report::Report;

/// The whole document.
pub(super) fn xml(reports: &[Report]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for report in reports {
        let results = &report.results;
        let failures = results.iter().filter(|result| !result.held).count();
        text.extend([
            "  <testsuite name=\"",
            &escaped(&report.file),
            "\" tests=\"",
            &results.len().to_string(),
            "\" failures=\"",
            &failures.to_string(),
            "\" errors=\"0\">\n",
        ]);
        for result in results {
            let name = escaped(&result.name);
            let file = escaped(&report.file);
            text.extend([
                "    <testcase classname=\"",
                &file,
                "\" name=\"",
                &name,
                "\"",
            ]);
            if result.held {
                text.push_str("/>\n");
                continue;
            }
            text.push_str(">\n");
            let failed = result.expectations.iter().filter(|found| !found.held);
            for (number, found) in failed.enumerate() {
                let message = [&*found.expectation, ": ", &*found.instead].concat();
                text.extend(["      <failure message=\"", &escaped(&message), "\">"]);
                // The story is told once.
                let story = if number == 0 { &*result.story } else { &[] };
                for line in story {
                    text.extend(["\n", &*escaped(line)]);
                }
                text.push_str("</failure>\n");
            }
            text.push_str("    </testcase>\n");
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// A document of one suite; a case that failed has a reason.
pub(crate) fn of(suite: &str, cases: impl Iterator<Item = (String, Option<String>)>) -> String {
    let cases: Vec<_> = cases.collect();
    let failures = cases.iter().filter(|(_, why)| why.is_some()).count();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let (all, failures) = (cases.len().to_string(), failures.to_string());
    text.extend(["  <testsuite name=\"", &escaped(suite), "\" tests=\"", &all]);
    text.extend(["\" failures=\"", &failures, "\" errors=\"0\">\n"]);
    for (name, why) in cases {
        let name = escaped(&name);
        text.extend([
            "    <testcase classname=\"",
            &escaped(suite),
            "\" name=\"",
            &name,
            "\"",
        ]);
        match why {
            None => text.push_str("/>\n"),
            Some(why) => {
                text.extend([">\n      <failure message=\"", &escaped(&why), "\"/>\n"]);
                text.push_str("    </testcase>\n");
            }
        }
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// Text for an attribute or an element; characters that XML 1.0 does not have are left out.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}
