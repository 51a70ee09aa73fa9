//! What the registry holds, past fleet: read and written with etcdctl.

use anyhow::{Context, Result};
use fleet_tests::cluster::Cluster;
use fleet_tests::lab::Etcd;

/// Where fleet's records are unless it is told otherwise.
const ROOT: &str = "/_coreos.com/fleet/v3/";

/// The records of a cluster on a real etcd.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a>(Etcd<'a>);

impl<'a> Stored<'a> {
    /// Those of this cluster.
    pub(crate) fn of(cluster: &'a Cluster) -> Result<Self> {
        Ok(Self(cluster.etcd().context("this cluster has no etcd")?))
    }

    /// The name in the registry of what fleet calls by this key.
    pub(crate) fn name(key: &str) -> String {
        format!("{ROOT}{key}")
    }

    /// The keys that begin so.
    pub(crate) fn keys(self, prefix: &str) -> Result<Vec<String>> {
        let found = self.0.etcdctl(["get", "--prefix", "--keys-only", &Self::name(prefix)])?.ok()?;
        Ok(found.lines().filter_map(|line| line.strip_prefix(ROOT)).map(str::to_owned).collect())
    }

    /// A value, if there is one.
    pub(crate) fn get(self, key: &str) -> Result<Option<String>> {
        let found = self.0.etcdctl(["get", "--print-value-only", &Self::name(key)])?.ok()?;
        Ok(found.strip_suffix('\n').map(str::to_owned).filter(|value| !value.is_empty()))
    }

    /// Writes a value, on no lease.
    pub(crate) fn put(self, key: &str, value: &str) -> Result<()> {
        self.0.etcdctl(["put", "--", &Self::name(key), value])?.ok()?;
        Ok(())
    }

    /// Deletes a value.
    pub(crate) fn delete(self, key: &str) -> Result<()> {
        self.0.etcdctl(["del", &Self::name(key)])?.ok()?;
        Ok(())
    }
}
