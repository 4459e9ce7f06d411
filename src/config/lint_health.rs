// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lints about questions that kill: asked too early (L4), or about somebody else (L11).

use super::lint::Lint;
use super::scalar::spell;
use super::value::{Field, Table};
use crate::spec::{Liveness, ProbeTarget, Ready, Service};
use std::net::IpAddr;

impl Lint<'_> {
    /// L4 and L11 of one service, or of the first instance of a pool.
    pub(super) fn liveness(&self, service: &Service, table: &Table) {
        let (Some(liveness), Some(field)) = (&service.health.liveness, table.get("liveness"))
        else {
            return;
        };
        self.too_early(service, liveness, field);
        self.not_here(&liveness.probe.target, field);
    }

    /// L4: nobody is asked before it is ready; one without `ready` is that at once.
    fn too_early(&self, service: &Service, liveness: &Liveness, field: Field<'_>) {
        let Some(limit) = service
            .start_timeout
            .filter(|_| service.ready == Ready::Exec)
        else {
            return;
        };
        let between = liveness.failures.saturating_sub(1);
        let earliest = liveness.probe.every.saturating_mul(between);
        if earliest < limit {
            let message = format!(
                "`{}` may be killed {} after its start, while a start may take {}",
                service.name,
                spell(earliest),
                spell(limit)
            );
            let report = self.push("L4", message, (field.key_at, "no `ready`".to_owned()));
            self.say(report.help("add `ready`: nobody is asked before it"));
        }
    }

    /// L11: what is far away is no part of the service.
    fn not_here(&self, target: &ProbeTarget, field: Field<'_>) {
        let (ProbeTarget::Tcp { host, .. } | ProbeTarget::Http { host, .. }) = target else {
            return;
        };
        let address = host.parse::<IpAddr>().ok();
        let far = address.filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
        if let Some(address) = far {
            let message = format!("it is killed when {address} does not answer");
            let report = self.push("L11", message, (field.at(), "not local".to_owned()));
            self.say(
                report.help("a restart does not bring back what is far away; ask the service"),
            );
        }
    }
}
