// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl drill`: faults on purpose in the tree that runs, one after another, and whether what
//! follows is what the file declares and what the engine predicts.
//!
//! Safe by default: it asks, one fault at a time, only in a tree that is well, and it stops when a
//! node moves that nobody has named. What a fault does for a time is undone by the daemon, also
//! when this program is gone. A difference between predicted and observed is a mistake of supd; one
//! between declared and observed is one of the file, or of the service.

pub(super) mod args;
mod declared;
mod watch;

use super::client::{Client, Doing, read_json};
use super::clock::Deadline;
use super::failure::Failure;
use super::prove::junit_of;
use super::screen::{Screen, visible};
use super::{DONE, NO, PENDING, age};
use crate::wire::{DrillReply, DrillRequest, NodeView, Route, Verb};
use args::DrillArgs;
use declared::{Fault, Step};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::time::Duration;
use watch::{Observed, Watch};

/// How long a fault may take when nobody says.
const WITHIN: Duration = Duration::from_secs(30);
/// The same of a hang, for liveness probes and watchdogs take their time.
const NOTICED: Duration = Duration::from_secs(120);
/// And of one that nobody will notice.
const HANG: Duration = Duration::from_secs(5);

/// What came of a step.
#[derive(Debug, Serialize)]
struct Report {
    step: String,
    verdict: Verdict,
    declared: BTreeSet<String>,
    predicted: BTreeSet<String>,
    observed: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healed_ms: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Held,
    Deviated,
    Aborted,
    /// Nothing was done.
    Foreseen,
}

/// `supctl drill`.
pub(crate) fn drill(client: &Client, screen: &mut Screen, args: &DrillArgs) -> Result<u8, Failure> {
    let doing = Doing("drill the tree");
    let status = client.status(doing)?;
    let steps = steps(&status.root, args)?;
    if !args.yes && !args.dry_run && !agreed(screen, &steps)? {
        return Ok(NO);
    }
    let mut reports = Vec::new();
    for step in &steps {
        // Each step begins with the tree as it is then.
        let root = client.status(doing)?.root;
        let report = one(client, (&root, step), args)?;
        if !screen.json {
            for line in told(&report, screen.style.unicode) {
                screen.line(&line)?;
            }
            screen.flush()?;
        }
        let aborted = report.verdict == Verdict::Aborted;
        reports.push(report);
        if aborted {
            break;
        }
    }
    finish(screen, (&reports, steps.len()), args)
}

fn steps(root: &NodeView, args: &DrillArgs) -> Result<Vec<Step>, Failure> {
    let Some(name) = &args.name else {
        let steps = declared::auto(root);
        if steps.is_empty() {
            return Err(Failure::Usage {
                doing: "drill the tree".to_owned(),
                reason: "no service of it is ready".to_owned(),
                instead: "supctl status".to_owned(),
            });
        }
        return Ok(steps);
    };
    let found = super::names::resolve(root, std::slice::from_ref(name), "drill")?;
    let fault = match (&args.kill, args.hang, args.exit) {
        (_, true, _) => Fault::Hang,
        (_, false, Some(code)) => Fault::Exit(code),
        (Some(signal), false, None) => {
            let name = signal.to_ascii_uppercase();
            Fault::Kill(name.strip_prefix("SIG").unwrap_or(&name).to_owned())
        }
        (None, false, None) => Fault::Kill("KILL".to_owned()),
    };
    let step = |node: &&NodeView| Step {
        node: node.name.clone(),
        fault: fault.clone(),
    };
    Ok(found.iter().map(step).collect())
}

/// Whether somebody at the keyboard agrees; where nobody is, `--yes` has to say so.
fn agreed(screen: &mut Screen, steps: &[Step]) -> Result<bool, Failure> {
    let somebody = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !somebody {
        return Err(Failure::Usage {
            doing: "drill the tree".to_owned(),
            reason: "it breaks what runs, and nobody is there to agree".to_owned(),
            instead: "supctl drill --dry-run --auto, or supctl drill --yes".to_owned(),
        });
    }
    for step in steps {
        screen.talk(&format!("  {}", step.words()))?;
    }
    screen.talk("Do this to the tree that runs? [y/N]")?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "yes" | "Y"))
}

fn ask(client: &Client, request: &DrillRequest) -> Result<DrillReply, Failure> {
    let body = serde_json::to_string(request).expect("invariant: a request is plain data");
    let doing = format!("drill `{}`", request.node);
    read_json(&client.post(&Route::Drill, &body, Doing(&doing))?)
}

fn one(
    client: &Client,
    (root, step): (&NodeView, &Step),
    args: &DrillArgs,
) -> Result<Report, Failure> {
    let usual = if step.fault == Fault::Hang {
        NOTICED
    } else {
        WITHIN
    };
    let mut within = args.within.unwrap_or(usual);
    let mut request = DrillRequest {
        node: step.node.clone(),
        kill: match &step.fault {
            Fault::Kill(signal) => Some(signal.clone()),
            Fault::Hang | Fault::Exit(_) => None,
        },
        hang: step.fault == Fault::Hang,
        exit: match step.fault {
            Fault::Exit(code) => Some(code),
            Fault::Kill(_) | Fault::Hang => None,
        },
        within_ms: Some(ms(within)),
        dry: true,
    };
    let mut foreseen = ask(client, &request)?;
    let remarks = remarks((&foreseen, step), within);
    if step.fault == Fault::Hang && args.within.is_none() && foreseen.ended.is_empty() {
        within = HANG;
        request.within_ms = Some(ms(within));
    }
    let declared = declared::restarted(root, step);
    let mut report = Report {
        step: step.words(),
        verdict: Verdict::Foreseen,
        declared,
        predicted: foreseen.restarted.iter().cloned().collect(),
        observed: BTreeSet::new(),
        class: foreseen.class.as_deref().map(str::to_owned),
        healed_ms: None,
        remarks,
    };
    if args.dry_run {
        return Ok(report);
    }
    request.dry = false;
    foreseen = ask(client, &request)?;
    let mut watch = Watch::new(&report.declared, &foreseen);
    let seen = watch.until(client, Deadline::after(Some(within)))?;
    judge(&mut report, (&seen, &foreseen), step);
    if report.verdict == Verdict::Aborted && step.fault == Fault::Hang {
        let body = "{\"signal\":\"CONT\"}";
        let route = Route::Act(step.node.clone(), Verb::Signal);
        let _goes_on = client.post(&route, body, Doing("let it go on"));
    }
    // What the drill has used up of a budget is given back.
    let route = Route::Act(step.node.clone(), Verb::Reset);
    client.post(&route, "{}", Doing("give its budget back"))?;
    Ok(report)
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn remarks((foreseen, step): (&DrillReply, &Step), within: Duration) -> Vec<String> {
    let mut remarks = Vec::new();
    if step.fault == Fault::Hang && foreseen.ended.is_empty() {
        let within = age::precise(ms(within));
        remarks.push(format!(
            "no liveness probe and no watchdog notices it within {within}"
        ));
    }
    for name in &foreseen.gave_up {
        remarks.push(format!("{name} is to give up"));
    }
    if !foreseen.healed {
        remarks.push("the engine does not expect it to heal in time".to_owned());
    }
    remarks
}

fn judge(report: &mut Report, (seen, foreseen): (&Observed, &DrillReply), step: &Step) {
    report.observed.clone_from(&seen.restarted);
    let harmless = step.fault == Fault::Hang && foreseen.ended.is_empty();
    report.healed_ms = seen.healed_ms.filter(|_| !harmless);
    report.verdict = Verdict::Held;
    if let Some(stranger) = &seen.stranger {
        report.verdict = Verdict::Aborted;
        report
            .remarks
            .push(format!("{stranger}, and nobody has named it: stopped here"));
        return;
    }
    let mut deviates = |remark: String| {
        report.verdict = Verdict::Deviated;
        report.remarks.push(remark);
    };
    let noticed = step.fault == Fault::Hang && !foreseen.ended.is_empty();
    if report.declared != report.observed && !noticed {
        deviates("declared and observed differ".to_owned());
    }
    if report.predicted != report.observed {
        deviates("predicted and observed differ: please report it".to_owned());
    }
    if seen.class != report.class {
        let found = seen.class.as_deref().unwrap_or("no end").to_owned();
        let wanted = report.class.as_deref().unwrap_or("no end");
        deviates(format!("its end is {found}, predicted was {wanted}"));
    }
    if seen.healed_ms.is_none() && foreseen.healed {
        deviates("it has not healed in time".to_owned());
    }
}

fn told(report: &Report, unicode: bool) -> Vec<String> {
    let sign = match (report.verdict, unicode) {
        (Verdict::Held, true) => "✔",
        (Verdict::Held, false) => "ok  ",
        (Verdict::Deviated | Verdict::Aborted, true) => "✘",
        (Verdict::Deviated | Verdict::Aborted, false) => "FAIL",
        (Verdict::Foreseen, true) => "·",
        (Verdict::Foreseen, false) => "-   ",
    };
    let names = |set: &BTreeSet<String>| {
        let shown: Vec<String> = set.iter().map(|name| visible(name)).collect();
        if shown.is_empty() {
            "nobody".to_owned()
        } else {
            shown.join(", ")
        }
    };
    let class = report
        .class
        .as_deref()
        .map_or_else(String::new, |c| format!("  {}", visible(c)));
    let healed = report.healed_ms.map_or_else(String::new, |ms| {
        format!("  healed in {}", age::precise(ms))
    });
    let mut lines = vec![format!("{sign} {}{class}{healed}", visible(&report.step))];
    let same = report.declared == report.predicted
        && (report.verdict == Verdict::Foreseen || report.declared == report.observed);
    if same {
        lines.push(format!("    restarted: {}", names(&report.declared)));
    } else {
        lines.push(format!("    declared:  {}", names(&report.declared)));
        lines.push(format!("    predicted: {}", names(&report.predicted)));
        if report.verdict != Verdict::Foreseen {
            lines.push(format!("    observed:  {}", names(&report.observed)));
        }
    }
    lines.extend(
        report
            .remarks
            .iter()
            .map(|remark| format!("    {}", visible(remark))),
    );
    lines
}

/// The sum, and the exit code: 0 held, 1 deviated, 2 aborted.
fn finish(
    screen: &mut Screen,
    (reports, planned): (&[Report], usize),
    args: &DrillArgs,
) -> Result<u8, Failure> {
    if let Some(path) = &args.junit {
        let cases = reports.iter().map(|report| {
            let failed = matches!(report.verdict, Verdict::Deviated | Verdict::Aborted);
            let why = failed.then(|| told(report, false).join("\n"));
            (report.step.clone(), why)
        });
        std::fs::write(path, junit_of("supctl drill", cases))?;
    }
    if screen.json {
        screen.json_value(&reports)?;
    } else {
        let of = |verdict| reports.iter().filter(|r| r.verdict == verdict).count();
        let (held, deviated) = (of(Verdict::Held), of(Verdict::Deviated));
        let (aborted, foreseen) = (of(Verdict::Aborted), of(Verdict::Foreseen));
        let steps = age::count(planned as u64, "step");
        screen.line(&match (foreseen, aborted) {
            (0, 0) => format!("{steps}: {held} held, {deviated} deviated"),
            (0, _) => format!("{steps}: {held} held, {deviated} deviated, aborted"),
            (_, _) => format!("{steps}: nothing was done"),
        })?;
    }
    let has = |verdict| reports.iter().any(|report| report.verdict == verdict);
    Ok(if has(Verdict::Aborted) {
        PENDING
    } else if has(Verdict::Deviated) {
        NO
    } else {
        DONE
    })
}
