//! Answers ranges.

use std::cmp::Ordering;

use super::mvcc::Mvcc;
use super::range::KeyRange;
use super::version::{Numbers, Version};
use crate::store::{KeyValue, RangeRequest, RangeResponse, SortOrder, SortTarget, StoreError};

/// Answers a range with all of its options.
pub(super) fn range(mvcc: &Mvcc, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
    mvcc.check_revision(request.revision)?;
    let range = KeyRange::new(&request.key, &request.range_end);
    let found: Vec<&Version> = mvcc.scan(&range, request.revision).collect();
    let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
    if request.count_only {
        return Ok(RangeResponse { kvs: Vec::new(), more: false, count });
    }
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let mut found = select(request, found, limit);
    sort(request, &mut found);
    let more = found.len() > limit;
    let kvs = found.into_iter().take(limit).map(|version| answer(version, request.keys_only)).collect();
    Ok(RangeResponse { kvs, more, count })
}

fn select<'a>(request: &RangeRequest, found: Vec<&'a Version>, limit: usize) -> Vec<&'a Version> {
    let bounded = |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    let bounds =
        [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision];
    if request.sort_order == SortOrder::None && bounds == [0; 4] {
        // Like etcd, cut before sorting: a target without an order sorts the first keys only.
        return found.into_iter().take(limit.saturating_add(1)).collect();
    }
    found
        .into_iter()
        .filter(|version| {
            let Numbers { mod_revision, create_revision, .. } = version.numbers();
            bounded(mod_revision, request.min_mod_revision, request.max_mod_revision)
                && bounded(create_revision, request.min_create_revision, request.max_create_revision)
        })
        .collect()
}

fn sort(request: &RangeRequest, found: &mut [&Version]) {
    let by_target = |a: &&Version, b: &&Version| match request.sort_target {
        SortTarget::Key => a.key().cmp(b.key()),
        SortTarget::Version => a.numbers().version.cmp(&b.numbers().version),
        SortTarget::Create => a.numbers().create_revision.cmp(&b.numbers().create_revision),
        SortTarget::Mod => a.revision().cmp(&b.revision()),
        SortTarget::Value => a.value().cmp(b.value()),
    };
    match (request.sort_order, request.sort_target) {
        (SortOrder::None, SortTarget::Key) => {}
        (SortOrder::None | SortOrder::Ascend, _) => found.sort_by(by_target),
        (SortOrder::Descend, _) => found.sort_by(|a, b| Ordering::reverse(by_target(a, b))),
    }
}

fn answer(version: &Version, keys_only: bool) -> KeyValue {
    let mut kv = version.key_value();
    if keys_only {
        kv.value = bytes::Bytes::new();
    }
    kv
}
