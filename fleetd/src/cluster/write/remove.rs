//! Destroying units.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::v2::DestroyOutcome;
use fleet_registry::Key;
use fleet_registry::store::{DeleteRequest, Operation, OperationResponse, StoreError, TxnRequest};
use fleet_units::UnitName;

use super::{UNITS_A_TRANSACTION, Writer};

impl Writer {
    /// Destroys units, whatever they are, in the order of their names.
    ///
    /// # Errors
    /// When the store cannot be reached; some may have been destroyed.
    pub async fn destroy(&self, names: &[UnitName]) -> Result<(i64, Vec<DestroyOutcome>), StoreError> {
        let mut revision = 0;
        let mut outcomes: BTreeMap<&UnitName, DestroyOutcome> = BTreeMap::new();
        let unique: BTreeSet<&UnitName> = names.iter().collect();
        let unique: Vec<&UnitName> = unique.into_iter().collect();
        for chunk in unique.chunks(UNITS_A_TRANSACTION) {
            let delete = |name: &&UnitName| {
                let key = self.layout.encode(&Key::Unit((*name).clone()));
                Operation::Delete(DeleteRequest { key, ..DeleteRequest::default() })
            };
            let request = TxnRequest { success: chunk.iter().map(delete).collect(), ..TxnRequest::default() };
            let (at, response, unsure) = self.call_again(request).await?;
            for (name, response) in chunk.iter().zip(response.responses) {
                let deleted = matches!(response, OperationResponse::Delete(d) if d.deleted > 0);
                if deleted {
                    revision = revision.max(at);
                }
                // After an answer that never came, absent means that the first attempt did it.
                let outcome = if deleted || unsure { DestroyOutcome::Destroyed } else { DestroyOutcome::Absent };
                outcomes.insert(name, outcome);
            }
        }
        Ok((revision, names.iter().map(|name| outcomes.get(name).copied().unwrap_or(DestroyOutcome::Absent)).collect()))
    }
}
