//! One suite over every store, and over a real etcd: the same calls, the same answers.

mod kv;
mod leases;
mod limits;
mod ranges;
mod txns;
mod watches;

/// Makes a test of each case for each store.
macro_rules! conformance {
    ($($module:ident: $($case:ident),+;)+) => {
        conformance!(@store memory $($module: $($case),+;)+);
        conformance!(@store embedded $($module: $($case),+;)+);
        conformance!(@store etcd $($module: $($case),+;)+);
    };
    (@store $store:ident $($module:ident: $($case:ident),+;)+) => {
        mod $store {
            $(mod $module {
                $(#[tokio::test]
                async fn $case() {
                    let subject = crate::harness::Subject::$store().await;
                    crate::conformance::$module::$case(&subject).await;
                })+
            })+
        }
    };
}

conformance! {
    kv: put_and_get, delete, previous_values, kept_value_and_lease, absent_key_cannot_be_kept, big_values,
        revisions_count_changes_only;
    ranges: prefixes, paging_at_a_revision, old_revisions, sorting, bounds_on_revisions, keys_and_counts,
        from_a_key_on;
    txns: compares, compares_over_ranges, absent_keys_in_compares, branches_are_one_revision, reads_see_own_writes,
        nested_txns, failed_txn_changes_nothing, old_revisions_within;
    leases: grant_and_revoke, expiry_deletes_keys, keep_alive_holds, keys_change_leases, unknown_leases, listing,
        limits_of_ttl, txn_with_unknown_lease;
    limits: operations, compares, nested_operations, duplicate_keys, empty_keys, request_size, future_and_compacted;
    watches: from_now, from_a_revision, one_key, one_revision_in_one_item, previous_values, filters, compacted,
        future_start, many_revisions, lease_expiry_is_seen, survives_compaction, big_revision;
}
